"""Silently wrong."""

from support.yaegi_samples.sample import Outcome, Sample, sample

SAMPLES: list[Sample] = [
    sample(
        "interface-assertion",
        "own interface",
        Outcome.WRONG,
        """
        import "os"

        type closer interface{ Close() error }

        func closes(v interface{}) bool {
            _, ok := v.(closer) // here
            return ok
        }

        func probe() string { return tell(closes(os.Stdin)) }
        """,
        """
        import "io"
        import "os"

        func closes(v interface{}) bool {
            _, ok := v.(io.Closer)
            return ok
        }

        func probe() string {
            var v interface{} = io.EOF
            _, failure := v.(error)
            return tell(closes(os.Stdin) && closes(&thing{}) && failure)
        }
        """,
    ),
    sample(
        "interface-assertion",
        "nameless interface",
        Outcome.WRONG,
        """
        func probe() string {
            var v interface{} = &thing{}
            c, ok := v.(interface{ Close() error }) // here
            return tell(ok && c.Close() == nil)
        }
        """,
        """
        func probe() string {
            var v interface{} = &thing{}
            c, ok := v.(*thing)
            return tell(ok && c.Close() == nil)
        }
        """,
    ),
    sample(
        "interface-case",
        "own value",
        Outcome.WRONG,
        """
        import "io"

        func closes(v interface{}) bool {
            switch v.(type) {
            case io.Closer: // here
                return true
            }
            return false
        }

        func probe() string { return tell(closes(&thing{})) }
        """,
        """
        import "io"

        func closes(v interface{}) bool {
            switch v.(type) {
            case nil, string:
                return false
            case *thing:
                return true
            }
            _, ok := v.(io.Closer)
            return ok
        }

        func probe() string { return tell(closes(&thing{}) && !closes(nil)) }
        """,
    ),
    sample(
        "interface-case",
        "compiled value",
        Outcome.WRONG,
        """
        import "io"

        func failed(v interface{}) bool {
            switch e := v.(type) {
            case error: // here
                return e.Error() == "EOF"
            }
            return false
        }

        func probe() string { return tell(failed(io.EOF)) }
        """,
        """
        import "io"

        func failed(v interface{}) bool {
            e, ok := v.(error)
            return ok && e.Error() == "EOF"
        }

        func probe() string { return tell(failed(io.EOF)) }
        """,
    ),
    sample(
        "loop-variable",
        "closure",
        Outcome.WRONG,
        """
        func probe() string {
            all := []func() int{}
            for _, v := range []int{1, 2} {
                all = append(all, func() int { return v }) // here
            }
            return tell(all[0]() == 1)
        }
        """,
        """
        func probe() string {
            all := []func() int{}
            sum := 0
            for _, v := range []int{1, 2} {
                func() { sum += v }()
                v := v
                all = append(all, func() int { return v })
            }
            return tell(all[0]() == 1 && sum == 3)
        }
        """,
    ),
    sample(
        "loop-variable",
        "counter in a goroutine",
        Outcome.WRONG,
        """
        import "time"

        func probe() string {
            got := make(chan int, 3)
            for i := 0; i < 3; i++ {
                go func() {
                    defer func() { _ = recover() }()
                    time.Sleep(10 * time.Millisecond)
                    got <- i // here
                }()
            }
            return tell(<-got+<-got+<-got == 3)
        }
        """,
        """
        import "time"

        func probe() string {
            got := make(chan int, 3)
            for i := 0; i < 3; i++ {
                go func(i int) {
                    defer func() { _ = recover() }()
                    time.Sleep(10 * time.Millisecond)
                    got <- i
                }(i)
            }
            return tell(<-got+<-got+<-got == 3)
        }
        """,
    ),
    sample(
        "loop-variable",
        "address",
        Outcome.WRONG,
        """
        func probe() string {
            all := []*int{}
            for _, t := range []thing{{1}, {2}} {
                all = append(all, &t.n) // here
            }
            return tell(*all[0] == 1)
        }
        """,
        """
        func probe() string {
            all := []*int{}
            for _, t := range []*thing{{1}, {2}} {
                all = append(all, &t.n)
            }
            return tell(*all[0] == 1)
        }
        """,
    ),
    sample(
        "loop-variable",
        "method value",
        Outcome.WRONG,
        """
        func probe() string {
            all := []func() int{}
            for _, t := range []*thing{{1}, {2}} {
                all = append(all, t.get) // here
            }
            return tell(all[0]() == 1)
        }
        """,
        """
        func probe() string {
            all := []int{}
            for _, t := range []*thing{{1}, {2}} {
                all = append(all, t.get())
            }
            return tell(all[0] == 1)
        }
        """,
    ),
    sample(
        "defer-loop",
        "own function",
        Outcome.WRONG,
        """
        import "fmt"

        var said string

        func say(n int) { said += fmt.Sprint(n) }

        func count() {
            for i := 0; i < 3; i++ {
                defer say(i) // here
            }
        }

        func probe() string {
            said = ""
            count()
            return tell(said == "210")
        }
        """,
        """
        import "fmt"

        var said string

        func say(n int) { said += fmt.Sprint(n) }

        func count() {
            for i := 0; i < 3; i++ {
                func(i int) { defer say(i) }(i)
            }
        }

        func probe() string {
            said = ""
            count()
            return tell(said == "012")
        }
        """,
    ),
    sample(
        "defer-loop",
        "literal with a copy",
        Outcome.WRONG,
        """
        import "fmt"

        var said string

        func count() {
            for _, v := range []int{0, 1, 2} {
                v := v
                defer func() { said += fmt.Sprint(v) }() // here
            }
        }

        func probe() string {
            said = ""
            count()
            return tell(said == "210")
        }
        """,
        """
        import "fmt"

        var said string

        func round(v int) {
            defer func() { said += fmt.Sprint(v) }()
        }

        func probe() string {
            said = ""
            for _, v := range []int{0, 1, 2} {
                round(v)
            }
            return tell(said == "012")
        }
        """,
    ),
    sample(
        "late-argument",
        "variable",
        Outcome.WRONG,
        """
        var said int

        func say(n int) { said = n }

        func change() {
            n := 1
            defer say(n) // here
            n = 2
        }

        func probe() string {
            change()
            return tell(said == 1)
        }
        """,
        """
        var said int

        func say(n int) { said = n }

        func change() {
            n := 1
            first := n
            defer say(first)
            n = 2
            _ = n
        }

        func probe() string {
            change()
            return tell(said == 1)
        }
        """,
    ),
    sample(
        "late-argument",
        "field",
        Outcome.WRONG,
        """
        var said int

        func say(n int) { said = n }

        func change(t *thing) {
            defer say(t.n) // here
            t.n = 2
        }

        func probe() string {
            change(&thing{1})
            return tell(said == 1)
        }
        """,
        """
        var said int

        func say(n int) { said = n }

        func change(t *thing) {
            defer say(t.n + 0)
            t.n = 2
        }

        func probe() string {
            change(&thing{1})
            return tell(said == 1)
        }
        """,
    ),
    sample(
        "late-argument",
        "receiver",
        Outcome.WRONG,
        """
        func change(a, b *thing) {
            t := a
            defer t.Close() // here
            t = b
        }

        func probe() string {
            a, b := &thing{}, &thing{}
            change(a, b)
            return tell(a.n == 1)
        }
        """,
        """
        func change(a, b *thing) {
            t := a
            defer a.Close()
            t = b
            t.n = 5
        }

        func probe() string {
            a, b := &thing{}, &thing{}
            change(a, b)
            return tell(a.n == 1)
        }
        """,
    ),
    sample(
        "late-argument",
        "goroutine of a compiled function",
        Outcome.WRONG,
        """
        import "bytes"
        import "time"

        func probe() string {
            b, text := &bytes.Buffer{}, "a"
            go b.WriteString(text) // here
            text = "b"
            time.Sleep(20 * time.Millisecond)
            return tell(b.String() == "a")
        }
        """,
        """
        func put(to chan string, text string) {
            defer func() { _ = recover() }()
            to <- text
        }

        func probe() string {
            to, text := make(chan string, 1), "a"
            go put(to, text)
            text = "b"
            got := <-to
            return tell(got == "a")
        }
        """,
    ),
    sample(
        "assign-call",
        "fields",
        Outcome.WRONG,
        """
        import "time"

        type note struct {
            what string
            when time.Time
        }

        func (n *note) set(what string) { n.what, n.when = what, time.Now() } // here

        func probe() string {
            n := &note{}
            n.set("a")
            return tell(n.what == "a")
        }
        """,
        """
        import "time"

        type note struct {
            what string
            when time.Time
            size int64
        }

        func (n *note) set(what string, size int) {
            n.what, n.size = what, int64(size)
            n.when = time.Now()
            name, when := what, time.Now()
            _, _ = name, when
        }

        func probe() string {
            n := &note{}
            n.set("a", 1)
            return tell(n.what == "a" && n.size == 1)
        }
        """,
    ),
    sample(
        "assign-call",
        "builtin",
        Outcome.WRONG,
        """
        func probe() string {
            text, name, size := "abc", "", 0
            name, size = text, len(text) // here
            return tell(name == "abc" && size == 3)
        }
        """,
        """
        import "strings"

        func probe() string {
            text, low, high := "Abc", "", ""
            low, high = strings.ToLower(text), strings.ToUpper(text)
            low, high = high, low
            return tell(low == "ABC" && high == "abc")
        }
        """,
    ),
    sample(
        "assign-call",
        "of each other",
        Outcome.WRONG,
        """
        import "strings"

        func probe() string {
            a, b := "a", "b"
            a, b = strings.ToUpper(b), strings.ToUpper(a) // here
            return tell(a == "B" && b == "A")
        }
        """,
        """
        import "strings"

        func probe() string {
            a, b := "a", "b"
            a, b = strings.ToUpper(a), strings.ToUpper(b)
            return tell(a == "A" && b == "B")
        }
        """,
    ),
    sample(
        "assign-call",
        "receive",
        Outcome.WRONG,
        """
        func probe() string {
            c := make(chan int, 1)
            c <- 3
            n := 7
            a, b := n, <-c // here
            return tell(a == 7 && b == 3)
        }
        """,
        """
        func probe() string {
            c := make(chan int, 1)
            c <- 3
            n := 7
            a := n
            b, ok := <-c
            return tell(a == 7 && b == 3 && ok)
        }
        """,
    ),
    sample(
        "json-embedded",
        "with tags",
        Outcome.WRONG,
        """
        import "encoding/json"

        type Base struct {
            A int `json:"a"`
        }

        type record struct {
            Base // here
            B int `json:"b"`
        }

        func probe() string {
            text, _ := json.Marshal(record{Base{1}, 2})
            return tell(string(text) == `{"a":1,"b":2}`)
        }
        """,
        """
        import "encoding/json"
        import "sync"

        type Base struct {
            sync.Mutex
            A int
        }

        type record struct {
            sync.Mutex `json:"-"`
            A          int `json:"a"`
        }

        func probe() string {
            r := &record{A: (&Base{A: 1}).A}
            text, _ := json.Marshal(r)
            return tell(string(text) == `{"a":1}`)
        }
        """,
    ),
    sample(
        "json-unexported",
        "with tags",
        Outcome.WRONG,
        """
        import "encoding/json"

        type record struct {
            secret string // here
            B      int `json:"b"`
        }

        func probe() string {
            text, _ := json.Marshal(&record{"s", 2})
            return tell(string(text) == `{"b":2}`)
        }
        """,
        """
        import "encoding/json"

        type record struct {
            secret string `json:"-"`
            B      int    `json:"b"`
        }

        func probe() string {
            text, _ := json.Marshal(&record{"s", 2})
            return tell(string(text) == `{"b":2}`)
        }
        """,
    ),
    sample(
        "json-unexported",
        "inside what is marshalled",
        Outcome.WRONG,
        """
        import "encoding/json"

        type inner struct {
            secret string // here
        }

        type outer struct{ All []*inner }

        func probe() string {
            text, _ := json.Marshal(map[string]outer{"a": {[]*inner{{"s"}}}})
            return tell(string(text) == `{"a":{"All":[{}]}}`)
        }
        """,
        """
        import "encoding/json"

        type inner struct{ Open string }

        type outer struct{ All []*inner }

        func probe() string {
            text, _ := json.Marshal(map[string]outer{"a": {[]*inner{{"s"}}}})
            return tell(string(text) == `{"a":{"All":[{"Open":"s"}]}}`)
        }
        """,
    ),
    sample(
        "json-method",
        "inside another value",
        Outcome.WRONG,
        """
        import "encoding/json"

        type level struct{ N int }

        func (l level) MarshalJSON() ([]byte, error) { return []byte("7"), nil } // here

        func probe() string {
            text, _ := json.Marshal([]level{{1}})
            return tell(string(text) == "[7]")
        }
        """,
        """
        import "encoding/json"

        func probe() string {
            text, _ := json.Marshal([]json.RawMessage{json.RawMessage("7")})
            return tell(string(text) == "[7]")
        }
        """,
    ),
]
