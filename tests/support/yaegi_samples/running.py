"""Wrong for Traefik: what ends it, and what costs too much."""

from support.yaegi_samples.sample import Outcome, Sample, sample

SAMPLES: list[Sample] = [
    sample(
        "goroutine",
        "literal",
        Outcome.DEAD,
        """
        import "time"

        var none map[string]int

        func probe() string {
            go func() { none["a"] = 1 }() // here
            time.Sleep(50 * time.Millisecond)
            return "right"
        }
        """,
        """
        import "time"

        var none map[string]int

        func guard() { _ = recover() }

        func probe() string {
            go func() {
                defer guard()
                none["a"] = 1
            }()
            time.Sleep(50 * time.Millisecond)
            return "right"
        }
        """,
    ),
    sample(
        "goroutine",
        "method",
        Outcome.DEAD,
        """
        import "time"

        func (t *thing) run() { panic("no") }

        func probe() string {
            go (&thing{}).run() // here
            time.Sleep(50 * time.Millisecond)
            return "right"
        }
        """,
        """
        import "time"

        func (t *thing) guard() { _ = recover() }

        func (t *thing) run() {
            defer t.guard()
            panic("no")
        }

        func probe() string {
            go (&thing{}).run()
            time.Sleep(50 * time.Millisecond)
            return "right"
        }
        """,
    ),
    sample(
        "goroutine",
        "called back later",
        Outcome.DEAD,
        """
        import "time"

        func probe() string {
            time.AfterFunc(time.Millisecond, func() { panic("no") }) // here
            time.Sleep(50 * time.Millisecond)
            return "right"
        }
        """,
        """
        import "sync"
        import "time"

        func probe() string {
            var group sync.WaitGroup
            group.Add(1)
            time.AfterFunc(time.Millisecond, group.Done)
            group.Wait()
            time.AfterFunc(time.Millisecond, func() {
                defer func() { _ = recover() }()
                panic("no")
            })
            time.Sleep(50 * time.Millisecond)
            return "right"
        }
        """,
    ),
    sample(
        "byte-loop",
        "range",
        Outcome.SLOW,
        """
        func probe() string {
            lines := 0
            for _, b := range []byte("a\\n") { // here
                if b == '\\n' {
                    lines++
                }
            }
            return tell(lines == 1)
        }
        """,
        """
        import "bytes"

        func probe() string {
            sum := 0
            for _, n := range []int{1, 2} {
                sum += n
            }
            return tell(bytes.Count([]byte("a\\n"), []byte("\\n")) == 1 && sum == 3)
        }
        """,
    ),
    sample(
        "byte-loop",
        "counter",
        Outcome.SLOW,
        """
        func probe() string {
            text, lines := "a\\n", 0
            for i := 0; i < len(text); i++ { // here
                if text[i] == '\\n' {
                    lines++
                }
            }
            return tell(lines == 1)
        }
        """,
        """
        func probe() string {
            first := ""
            for i := 0; i < 2; i++ {
                first += []string{"a", "b"}[i][:1]
            }
            return tell(first == "ab")
        }
        """,
    ),
]
