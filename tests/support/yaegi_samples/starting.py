"""Traefik does not start."""

from support.yaegi_samples.sample import Outcome, Sample, sample


def imported(path: str, *, compiles: bool = True) -> Sample:
    return sample(
        "import",
        path,
        Outcome.NO_START,
        f"""
        import _ "{path}" // here

        func probe() string {{ return "right" }}
        """,
        """
        import _ "os/signal"
        import _ "math/rand/v2"

        func probe() string { return "right" }
        """,
        compiles=compiles,
    )


SAMPLES: list[Sample] = [
    *(imported(path) for path in ("embed", "iter", "os/exec", "plugin", "syscall", "unique", "unsafe")),
    imported("C", compiles=False),
    imported("github.com/google/uuid", compiles=False),
    sample(
        "builtin",
        "clear",
        Outcome.NO_START,
        """
        func probe() string {
            m := map[string]int{"a": 1}
            clear(m) // here
            return tell(len(m) == 0)
        }
        """,
        """
        func probe() string {
            m := map[string]int{"a": 1}
            delete(m, "a")
            return tell(len(m) == 0)
        }
        """,
    ),
    sample(
        "builtin",
        "min",
        Outcome.NO_START,
        """
        func probe() string {
            a, b := 1, 2
            return tell(min(a, b) == 1) // here
        }
        """,
        """
        func min(a, b int) int {
            if a < b {
                return a
            }
            return b
        }

        func probe() string { return tell(min(1, 2) == 1) }
        """,
    ),
    sample(
        "builtin",
        "max",
        Outcome.NO_START,
        """
        func probe() string {
            a, b := 1, 2
            return tell(max(a, b) == 2) // here
        }
        """,
        """
        func probe() string {
            largest := 1
            if b := 2; b > largest {
                largest = b
            }
            return tell(largest == 2)
        }
        """,
    ),
    sample(
        "range-integer",
        "three",
        Outcome.NO_START,
        """
        func probe() string {
            sum := 0
            for i := range 3 { // here
                sum += i
            }
            return tell(sum == 3)
        }
        """,
        """
        func probe() string {
            sum := 0
            for i := 0; i < 3; i++ {
                sum += i
            }
            return tell(sum == 3)
        }
        """,
    ),
    sample(
        "range-function",
        "sequence",
        Outcome.NO_START,
        """
        func sequence(yield func(int) bool) { _ = yield(1) && yield(2) }

        func probe() string {
            sum := 0
            for i := range sequence { // here
                sum += i
            }
            return tell(sum == 3)
        }
        """,
        """
        func sequence(yield func(int) bool) { _ = yield(1) && yield(2) }

        func probe() string {
            sum := 0
            sequence(func(i int) bool { sum += i; return true })
            return tell(sum == 3)
        }
        """,
    ),
    sample(
        "generic",
        "inferred from a function literal",
        Outcome.NO_START,
        """
        func keep[T any](f func() T) func() T { // here
            v := f()
            return func() T { return v }
        }

        var seven = keep(func() int { return 7 })

        func probe() string { return tell(seven() == 7) }
        """,
        """
        func keep(f func() int) func() int {
            v := f()
            return func() int { return v }
        }

        var seven = keep(func() int { return 7 })

        func probe() string { return tell(seven() == 7) }
        """,
    ),
    sample(
        "generic",
        "instantiated twice",
        Outcome.NO_START,
        """
        func each[A, B any](all []A, f func(A) B) []B { // here
            made := []B{}
            for _, one := range all {
                made = append(made, f(one))
            }
            return made
        }

        func probe() string {
            lengths := each([]string{"a"}, func(s string) int { return len(s) })
            names := each([]int{1}, func(i int) string { return "a" })
            return tell(lengths[0] == 1 && names[0] == "a")
        }
        """,
        """
        func lengths(all []string) []int {
            made := []int{}
            for _, one := range all {
                made = append(made, len(one))
            }
            return made
        }

        func probe() string { return tell(lengths([]string{"a"})[0] == 1) }
        """,
    ),
    sample(
        "library-generic",
        "slices.Sort",
        Outcome.NO_START,
        """
        import "slices"

        func probe() string {
            a := []int{3, 1}
            slices.Sort(a) // here
            return tell(a[0] == 1)
        }
        """,
        """
        import "sort"
        import "slices"

        func probe() string {
            a := []int{3, 1}
            sort.Ints(a)
            return tell(a[0] == 1 && slices.Contains(a, 3))
        }
        """,
    ),
    sample(
        "library-generic",
        "slices.Clone",
        Outcome.NO_START,
        """
        import "slices"

        func probe() string { return tell(len(slices.Clone([]int{1})) == 1) } // here
        """,
        """
        import "slices"

        func probe() string { return tell(slices.Index([]string{"a", "b"}, "b") == 1) }
        """,
    ),
    sample(
        "library-generic",
        "maps.Clone",
        Outcome.NO_START,
        """
        import "maps"

        func probe() string { return tell(len(maps.Clone(map[string]int{"a": 1})) == 1) } // here
        """,
        """
        import "cmp"

        func probe() string { return tell(cmp.Compare(1, 2) == -1) }
        """,
    ),
    sample(
        "library-generic",
        "atomic.Pointer",
        Outcome.NO_START,
        """
        import "sync/atomic"

        var p atomic.Pointer[thing] // here

        func probe() string {
            p.Store(&thing{3})
            return tell(p.Load().n == 3)
        }
        """,
        """
        import "sync/atomic"

        var p atomic.Value

        func probe() string {
            p.Store(&thing{3})
            return tell(p.Load().(*thing).n == 3)
        }
        """,
    ),
    sample(
        "library-generic",
        "sync.OnceValue",
        Outcome.NO_START,
        """
        import "sync"

        var seven = sync.OnceValue(func() int { return 7 }) // here

        func probe() string { return tell(seven() == 7) }
        """,
        """
        import "sync"

        var n int
        var count = sync.OnceFunc(func() { n++ })

        func probe() string {
            count()
            return tell(n == 1)
        }
        """,
    ),
    sample(
        "library-generic",
        "sync.OnceValues",
        Outcome.NO_START,
        """
        import "sync"

        var seven = sync.OnceValues(func() (int, error) { return 7, nil }) // here

        func probe() string {
            n, err := seven()
            return tell(n == 7 && err == nil)
        }
        """,
        """
        import "sync"

        var once sync.Once
        var n int

        func probe() string {
            once.Do(func() { n = 7 })
            return tell(n == 7)
        }
        """,
    ),
    sample(
        "method-value",
        "in a struct",
        Outcome.NO_START,
        """
        import "net"
        import "net/http"

        func probe() string {
            t := &http.Transport{DialContext: (&net.Dialer{}).DialContext} // here
            return tell(t.DialContext != nil)
        }
        """,
        """
        import "context"
        import "net"
        import "net/http"

        func probe() string {
            d := &net.Dialer{}
            t := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
                return d.DialContext(ctx, network, address)
            }}
            return tell(t.DialContext != nil)
        }
        """,
    ),
    sample(
        "method-value",
        "assigned",
        Outcome.NO_START,
        """
        import "net"
        import "net/http"

        func probe() string {
            t := &http.Transport{}
            t.DialContext = (&net.Dialer{}).DialContext // here
            return tell(t.DialContext != nil)
        }
        """,
        # Straight to compiled code, without parameters, and of our own types they work.
        """
        import "bytes"
        import "net/http"

        func probe() string {
            inner, outer := http.NewServeMux(), http.NewServeMux()
            outer.HandleFunc("/", inner.ServeHTTP)
            text := bytes.NewBufferString("a").String
            get := (&thing{3}).get
            return tell(text() == "a" && get() == 3)
        }
        """,
    ),
]
