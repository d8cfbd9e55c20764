"""A panic when it runs, mostly one that the handler sees."""

from support.yaegi_samples.sample import Outcome, Sample, sample

SAMPLES: list[Sample] = [
    sample(
        "method-value",
        "in a variable",
        Outcome.WRONG,
        """
        import "bytes"

        func probe() string {
            b := &bytes.Buffer{}
            write := b.WriteString // here
            _, _ = write("a")
            return tell(b.Len() == 1)
        }
        """,
        """
        import "bytes"

        func probe() string {
            b := &bytes.Buffer{}
            write := func(s string) { _, _ = b.WriteString(s) }
            write("a")
            return tell(b.Len() == 1)
        }
        """,
    ),
    sample(
        "method-expression",
        "own",
        Outcome.WRONG,
        """
        func probe() string {
            get := (*thing).get // here
            return tell(get(&thing{3}) == 3)
        }
        """,
        """
        func probe() string {
            get := func(t *thing) int { return t.get() }
            return tell(get(&thing{3}) == 3)
        }
        """,
    ),
    sample(
        "receive",
        "returned",
        Outcome.WRONG,
        """
        func take(c chan int) int { return <-c } // here

        func probe() string {
            c := make(chan int, 3)
            c <- 3
            return tell(take(c) == 3)
        }
        """,
        """
        func take(c chan int) int {
            n := <-c
            return n
        }

        func probe() string {
            c := make(chan int, 3)
            c <- 3
            return tell(take(c) == 3)
        }
        """,
    ),
    sample(
        "receive",
        "returned beside an error",
        Outcome.WRONG,
        """
        func take(c chan int) (int, error) { return <-c, nil } // here

        func probe() string {
            c := make(chan int, 3)
            c <- 3
            n, err := take(c)
            return tell(n == 3 && err == nil)
        }
        """,
        """
        func take(c chan int) int { return <-c + 1 }

        func probe() string {
            c := make(chan int, 3)
            c <- 3
            return tell(take(c) == 4)
        }
        """,
    ),
    sample(
        "receive",
        "into a result",
        Outcome.WRONG,
        """
        func take(c chan int) (n int) {
            n = <-c // here
            return n
        }

        func probe() string {
            c := make(chan int, 3)
            c <- 3
            return tell(take(c) == 3)
        }
        """,
        """
        func take(c chan int) (n int, ok bool) {
            n, ok = <-c
            return n, ok
        }

        func probe() string {
            c := make(chan int, 3)
            c <- 3
            n, ok := take(c)
            return tell(n == 3 && ok)
        }
        """,
    ),
    sample(
        "receive",
        "into a field",
        Outcome.WRONG,
        """
        func probe() string {
            c := make(chan int, 3)
            c <- 3
            t := &thing{}
            t.n = <-c // here
            return tell(t.n == 3)
        }
        """,
        """
        func probe() string {
            c := make(chan int, 3)
            c <- 3
            t := &thing{n: <-c}
            c <- 4
            n := <-c
            t.n += n
            return tell(t.n == 7)
        }
        """,
    ),
    sample(
        "receive",
        "into a variable that changes",
        Outcome.WRONG,
        """
        func probe() string {
            c := make(chan int, 3)
            c <- 3
            n := <-c // here
            n++
            return tell(n == 4)
        }
        """,
        """
        func probe() string {
            c := make(chan int, 3)
            c <- 3
            n, _ := <-c
            n++
            c <- 5
            select {
            case m := <-c:
                m++
                n += m
            }
            return tell(n == 10)
        }
        """,
    ),
    sample(
        "receive",
        "in a select",
        Outcome.WRONG,
        """
        func probe() string {
            c := make(chan int, 3)
            c <- 3
            n := 0
            select {
            case n = <-c: // here
            }
            return tell(n == 3)
        }
        """,
        """
        func probe() string {
            c := make(chan int, 3)
            c <- 3
            n := 0
            select {
            case m := <-c:
                n = m
            }
            return tell(n == 3)
        }
        """,
    ),
    sample(
        "receive",
        "and its address",
        Outcome.WRONG,
        """
        func probe() string {
            c := make(chan int, 3)
            c <- 3
            n := <-c // here
            p := &n
            *p = 4
            return tell(n == 4)
        }
        """,
        """
        func probe() string {
            c := make(chan int, 3)
            c <- 3
            got := <-c
            n := got
            p := &n
            *p = 4
            return tell(n == 4)
        }
        """,
    ),
    sample(
        "assign-nil",
        "two variables",
        Outcome.WRONG,
        """
        func probe() string {
            var a []int
            b := []int{1}
            a, b = b, nil // here
            return tell(len(a) == 1 && b == nil)
        }
        """,
        """
        func both() ([]int, error) { return []int{1}, nil }

        func probe() string {
            a, err := both()
            b := a
            a = nil
            return tell(len(b) == 1 && a == nil && err == nil)
        }
        """,
    ),
    sample(
        "errors-as",
        "own type",
        Outcome.WRONG,
        """
        import "errors"
        import "fmt"

        type oops struct{ n int }

        func (o *oops) Error() string { return "oops" }

        func probe() string {
            var o *oops
            return tell(errors.As(fmt.Errorf("no: %w", &oops{3}), &o)) // here
        }
        """,
        """
        import "errors"
        import "fmt"
        import "os"

        func probe() string {
            _, err := os.Open("/not/there")
            var p *os.PathError
            return tell(errors.As(fmt.Errorf("no: %w", err), &p))
        }
        """,
    ),
    sample(
        "errors-as",
        "own interface",
        Outcome.WRONG,
        """
        import "context"
        import "errors"

        func probe() string {
            var t interface{ Timeout() bool }
            return tell(errors.As(context.DeadlineExceeded, &t)) // here
        }
        """,
        """
        import "context"
        import "errors"
        import "net"

        func probe() string {
            var n net.Error
            return tell(errors.As(context.DeadlineExceeded, &n))
        }
        """,
    ),
    sample(
        "error-type",
        "compared",
        Outcome.WRONG,
        """
        type oops struct{ n int } // here

        func (o *oops) Error() string { return "oops" }

        var sentinel error = &oops{1}

        func fail() error { return sentinel }

        func probe() string { return tell(fail() == sentinel) }
        """,
        """
        import "errors"

        var sentinel = errors.New("oops")

        func fail() error { return sentinel }

        func probe() string { return tell(fail() == sentinel) }
        """,
    ),
    sample(
        "error-type",
        "wrapped",
        Outcome.WRONG,
        """
        import "errors"
        import "fmt"

        type oops struct{ n int } // here

        func (o *oops) Error() string { return "oops" }

        var sentinel error = &oops{1}

        func probe() string { return tell(errors.Is(fmt.Errorf("no: %w", sentinel), sentinel)) }
        """,
        """
        import "errors"
        import "fmt"

        var sentinel = errors.New("oops")

        func probe() string { return tell(errors.Is(fmt.Errorf("no: %w", sentinel), sentinel)) }
        """,
    ),
    sample(
        "variadic-interface",
        "writer",
        Outcome.WRONG,
        """
        import "io"

        type counter struct{ n int }

        func (c *counter) Write(p []byte) (int, error) { c.n += len(p); return len(p), nil }

        func probe() string {
            c := &counter{}
            _, _ = io.MultiWriter(
                io.Discard,
                c, // here
            ).Write([]byte("abc"))
            return tell(c.n == 3)
        }
        """,
        """
        import "io"
        import "strings"

        type counter struct{ n int }

        func (c *counter) Write(p []byte) (int, error) { c.n += len(p); return len(p), nil }

        func probe() string {
            c := &counter{}
            var w io.Writer = c
            _, _ = io.MultiWriter(io.Discard, w).Write([]byte("abc"))
            _, _ = io.ReadAll(io.TeeReader(strings.NewReader("abc"), c))
            return tell(c.n == 6)
        }
        """,
    ),
    sample(
        "unnamed-parameter",
        "method",
        Outcome.WRONG,
        """
        import "io"
        import "strings"

        type sink struct{ n int }

        func (s *sink) Write([]byte) (int, error) { s.n++; return 3, nil } // here

        func probe() string {
            s := &sink{}
            _, _ = io.Copy(s, io.LimitReader(strings.NewReader("abc"), 3))
            return tell(s.n == 1)
        }
        """,
        """
        import "io"
        import "strings"

        type sink struct{ n int }

        func (s *sink) Write(_ []byte) (int, error) { s.n++; return 3, nil }

        func direct(int, string) bool { return true }

        func probe() string {
            s := &sink{}
            _, _ = io.Copy(s, io.LimitReader(strings.NewReader("abc"), 3))
            return tell(s.n == 1 && direct(1, ""))
        }
        """,
    ),
    sample(
        "unnamed-parameter",
        "callback",
        Outcome.WRONG,
        """
        import "net/http"
        import "net/http/httptest"

        func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // here

        func probe() string {
            server := httptest.NewServer(http.RedirectHandler("/", 302))
            defer server.Close()
            client := &http.Client{CheckRedirect: stay}
            res, err := client.Get(server.URL)
            return tell(err == nil && res.StatusCode == 302)
        }
        """,
        """
        import "net/http"
        import "net/http/httptest"

        func stay(_ *http.Request, _ []*http.Request) error { return http.ErrUseLastResponse }

        func probe() string {
            server := httptest.NewServer(http.RedirectHandler("/", 302))
            defer server.Close()
            client := &http.Client{CheckRedirect: stay}
            res, err := client.Get(server.URL)
            return tell(err == nil && res.StatusCode == 302)
        }
        """,
    ),
]
