package llmtoken

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	streamRequest = `{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}`
	askedRequest  = `{` + question + `"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}`
	plainEvents   = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata: [DONE]\n\n"
)

// seen is what an upstream was asked.
type seen struct {
	lock   sync.Mutex
	bodies []string
	length []string
}

func (s *seen) note(req *http.Request) string {
	body, _ := io.ReadAll(req.Body)
	s.lock.Lock()
	s.bodies = append(s.bodies, string(body))
	s.length = append(s.length, fmt.Sprint(req.ContentLength, " ", req.Header.Get("Content-Length")))
	s.lock.Unlock()
	return string(body)
}

// asker puts the injector and the tap before an upstream, with nothing learned.
func asker(next http.HandlerFunc) http.Handler {
	lessonsLock.Lock()
	lessons = map[string]lesson{}
	lessonsLock.Unlock()
	m := tap(next)
	m.config.InjectStreamUsage = true
	return askForUsage(m)
}

func call(h http.Handler, body string) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	req := post(body)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Content-Length", fmt.Sprint(len(body)))
	h.ServeHTTP(rec, req)
	return rec
}

func streamed(rw http.ResponseWriter, text string) {
	rw.Header().Set("Content-Type", "text/event-stream")
	_, _ = io.WriteString(rw, text)
}

func TestOnlyAPlainRequestForAStreamIsAskedAbout(t *testing.T) {
	cases := []struct {
		body  string
		plain bool
	}{
		{streamRequest, true},
		{" \r\n\t" + streamRequest + "\n", true},
		{`{"prompt":"p","stream":true}`, true},
		{`{"prompt":"p","stre\u0061m":true}`, false},
		{`{"prompt":"say \"stream_options\"","stream":true}`, true},
		{`{"prompt":"p","stream":false}`, false},
		{`{"prompt":"p","stream":1}`, false},
		{`{"prompt":"p","stream":"true"}`, false},
		{`{"prompt":"p"}`, false},
		{`{"stream":true}`, false},
		{`{"prompt":"p","metadata":{"stream":true}}`, false},
		{`{"prompt":"p","stream":true,"stream_options":{}}`, false},
		{`{"prompt":"p","stream":true,"stream_options":null}`, false},
		{`{"prompt":"p","stream":true,"stream\u005foptions":{"include_usage":false}}`, false},
		{`{"prompt":"p","stream":true,"Stream_Options":{}}`, false},
		{`{"prompt":"p","stream":true,"usage":{"include":true}}`, false},
		{`{"prompt":"p","stream":true,"include_usage":true}`, false},
		{`{"prompt":"p","Stream":true}`, false},
		{`{"prompt":"p","stream":true,"stream":true}`, false},
		{`{"prompt":"p","stream":true,"STREAM":false}`, false},
		{`{"prompt":"p","prompt":"q","stream":true}`, false},
		{`{"prompt":"p","stream":true}{}`, false},
		{`{"prompt":"p","stream":true} x`, false},
		{`{"prompt":"p","stream":true`, false},
		{`{"prompt":"p","stream":true,}`, false},
		{`[{"prompt":"p","stream":true}]`, false},
		{"\ufeff" + `{"prompt":"p","stream":true}`, false},
		{"{\"prompt\":\"\xff\",\"stream\":true}", false},
		{`"{"`, false}, {`{}`, false}, {`null`, false}, {`7`, false},
		{`{"prompt":"p","stream":true` + strings.Repeat(`,"a":1`, 2) + `}`, false},
	}
	for _, test := range cases {
		if _, plain := plainStream([]byte(test.body)); plain != test.plain {
			t.Errorf("%s: %v", test.body, plain)
		}
	}
	many := []string{}
	for i := 0; i < 2*maxMembers; i++ {
		many = append(many, fmt.Sprintf(`"m%d":1`, i))
	}
	if _, plain := plainStream([]byte(`{"prompt":"p","stream":true,` + strings.Join(many, ",") + `}`)); plain {
		t.Error("a request of very many members")
	}
}

func TestTheHeadSaysWhatIsNotEvenRead(t *testing.T) {
	set := func(name, value string) func(*http.Request) {
		return func(req *http.Request) { req.Header.Set(name, value) }
	}
	cases := []struct {
		name string
		may  bool
		odd  func(*http.Request)
	}{
		{"plain", true, func(*http.Request) {}},
		{"charset", true, set("Content-Type", "Application/JSON; charset=UTF-8")},
		{"completions", true, func(req *http.Request) { req.URL.Path = "/v1/completions" }},
		{"method", false, func(req *http.Request) { req.Method = "PUT" }},
		{"path", false, func(req *http.Request) { req.URL.Path = "/v1/responses" }},
		{"path behind", false, func(req *http.Request) { req.URL.Path = "/v1/chat/completions/c-1" }},
		{"no length", false, func(req *http.Request) { req.ContentLength = -1 }},
		{"nothing", false, func(req *http.Request) { req.ContentLength = 0 }},
		{"large", false, func(req *http.Request) { req.ContentLength = maxAsking + 1 }},
		{"form", false, set("Content-Type", "multipart/form-data; boundary=x")},
		{"no type", false, func(req *http.Request) { req.Header.Del("Content-Type") }},
		{"another charset", false, set("Content-Type", "application/json; charset=utf-16")},
		{"encoded", false, set("Content-Encoding", "gzip")},
		{"expecting", false, set("Expect", "100-continue")},
		{"upgrade", false, set("Upgrade", "websocket")},
		{"signed", false, set("Content-Digest", "sha-256=:x:")},
		{"signed for AWS", false, set("X-Amz-Content-Sha256", "x")},
	}
	for _, test := range cases {
		req := post(streamRequest)
		req.Header.Set("Content-Type", "application/json")
		test.odd(req)
		if may := mayAsk(req); may != test.may {
			t.Errorf("%s: %v", test.name, may)
		}
	}
}

func TestTheQuestionIsAllThatChanges(t *testing.T) {
	body := "\n { \"prompt\" : \"a\\u0041 {\" ,\"stream\":true }\n"
	req := post(body)
	req.Header.Set("Content-Length", "7")
	req.Header.Set("X-Other", "kept")
	asked := asking(req, []byte(body))
	got, _ := io.ReadAll(asked.Body)
	if string(got) != strings.Replace(body, "{", "{"+question, 1) {
		t.Fatalf("%s", got)
	}
	if asked.ContentLength != int64(len(got)) || asked.Header.Get("Content-Length") != fmt.Sprint(len(got)) {
		t.Fatal(asked.ContentLength, asked.Header)
	}
	if asked.Header.Get("X-Other") != "kept" || req.Header.Get("Content-Length") != "7" || asked.Context() != req.Context() {
		t.Fatal("more has changed, or the original")
	}
}

func TestAModelIsAskedOnceItsStreamHasEndedWithoutUsage(t *testing.T) {
	s := &seen{}
	h := asker(func(rw http.ResponseWriter, req *http.Request) {
		if strings.Contains(s.note(req), "stream_options") {
			streamed(rw, "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"usage\":null}\n\n"+
				"data: {\"choices\":[],\"usage\":{\"total_tokens\":3}}\n\ndata: [DONE]\n\n")
		} else {
			streamed(rw, plainEvents)
		}
	})
	for i := 0; i < 3; i++ {
		if rec := call(h, streamRequest); rec.Body.String() != plainEvents || !rec.Flushed {
			t.Fatalf("%q", rec.Body)
		}
	}
	call(h, strings.Replace(streamRequest, `"m"`, `"other"`, 1)) // another model is watched first
	want := []string{streamRequest, askedRequest, askedRequest, strings.Replace(streamRequest, `"m"`, `"other"`, 1)}
	if fmt.Sprint(s.bodies) != fmt.Sprint(want) {
		t.Fatal(s.bodies)
	}
	if s.length[1] != fmt.Sprint(len(askedRequest), " ", len(askedRequest)) {
		t.Fatal(s.length)
	}
}

func TestAModelIsNotAskedUnlessItsWholeStreamWasPlain(t *testing.T) {
	header := func(name, value string) func(http.ResponseWriter) {
		return func(rw http.ResponseWriter) {
			rw.Header().Set(name, value)
			streamed(rw, plainEvents)
		}
	}
	text := func(text string) func(http.ResponseWriter) {
		return func(rw http.ResponseWriter) { streamed(rw, text) }
	}
	cases := map[string]func(http.ResponseWriter){
		"tells at the end": text("data: {\"choices\":[],\"usage\":{\"total_tokens\":3}}\n\n" + plainEvents),
		"tells null":       text(strings.Replace(plainEvents, `]}`, `],"usage":null}`, 1)),
		"x_groq":           text(strings.Replace(plainEvents, `]}`, `],"x_groq":{"usage":{}}}`, 1)),
		"llama.cpp":        text(strings.Replace(plainEvents, `]}`, `],"timings":{"predicted_n":1}}`, 1)),
		"cut":              text("data: {\"choices\":[]}\n\n"),
		"empty":            text(""),
		"not JSON":         text("data: hello\n\n" + plainEvents),
		"two ends":         text(plainEvents + plainEvents),
		"nothing but end":  text("data: [DONE]\n\n"),
		"compressed":       header("Content-Encoding", "gzip"),
		"of known length":  header("Content-Length", fmt.Sprint(len(plainEvents))),
		"JSON":             func(rw http.ResponseWriter) { _, _ = io.WriteString(rw, `{"choices":[]}`) },
		"an error":         func(rw http.ResponseWriter) { rw.WriteHeader(500) },
		"very long":        text(strings.Repeat("data: {}\n\n", maxWatched/10+1) + plainEvents),
	}
	for name, answer := range cases {
		s := &seen{}
		h := asker(func(rw http.ResponseWriter, req *http.Request) {
			s.note(req)
			answer(rw)
		})
		call(h, streamRequest)
		call(h, streamRequest)
		if s.bodies[0] != streamRequest || s.bodies[1] != streamRequest {
			t.Errorf("%s: was asked", name)
		}
	}
}

func TestStreamsOfAllKindsOfLineEndsAreLearnedFrom(t *testing.T) {
	for _, text := range []string{
		plainEvents,
		": ping\n\n" + plainEvents,
		strings.Replace(plainEvents, `"a"`, `"usage"`, 1),
		strings.ReplaceAll(plainEvents, "\n", "\r\n"),
		strings.ReplaceAll(plainEvents, "data: ", "data:"),
		strings.ReplaceAll(plainEvents, "data: ", "event: message\nid: 1\ndata: "),
	} {
		w := &watchedReply{ResponseWriter: httptest.NewRecorder(), status: 200}
		w.copy.WriteString("\n" + text)
		if silent, known := judge(w); !silent || !known {
			t.Errorf("%q: %v %v", text, silent, known)
		}
	}
}

// filtered sends pieces through a filter and gives what came of each.
func filtered(pieces ...string) ([]string, *askedReply) {
	rec := httptest.NewRecorder()
	rec.Header().Set("Content-Type", "text/event-stream")
	r := &askedReply{ResponseWriter: rec, control: http.NewResponseController(rec)}
	got := []string{}
	for _, piece := range pieces {
		n, err := r.Write([]byte(piece))
		if n != len(piece) || err != nil {
			panic(fmt.Sprint(n, err))
		}
		got = append(got, rec.Body.String())
		rec.Body.Reset()
	}
	settle(r, "test")
	return append(got, rec.Body.String()), r
}

func TestTheUsageIsHiddenAndNothingElse(t *testing.T) {
	const extra = "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"total_tokens\":3,\"details\":{\"text\":\"}\"}}}\n\n"
	cases := []struct{ name, sent, want string }{
		{"the extra event", "data: {\"a\":1}\n\n" + extra + "data: [DONE]\n\n", "data: {\"a\":1}\n\ndata: [DONE]\n\n"},
		{"alone", extra, ""},
		{"at the end without a blank line", strings.TrimRight(extra, "\n"), ""},
		{"no [DONE]", "data: {}\n\n" + extra, "data: {}\n\n"},
		{"with its fields", "data: {}\n\nevent: e\nid: 7\n" + extra + "data: [DONE]\n\n", "data: {}\n\ndata: [DONE]\n\n"},
		{"with fields behind", "data: {}\n\n" + strings.TrimSuffix(extra, "\n") + "id: 7\n\ndata: [DONE]\n\n",
			"data: {}\n\ndata: [DONE]\n\n"},
		{"spaces", "data: {\"choices\": [ ], \"usage\": {\"total_tokens\": 3}}\n\ndata: [DONE]\n\n", "data: [DONE]\n\n"},
		{"null, last", "data: {\"choices\":[{}],\"usage\":null}\n\n", "data: {\"choices\":[{}]}\n\n"},
		{"null, in the middle", "data: {\"a\":1,\"usage\":null,\"obfuscation\":\"x\"}\n\n", "data: {\"a\":1,\"obfuscation\":\"x\"}\n\n"},
		{"null, spaced", "data: {\"a\": 1, \"usage\": null}\n\n", "data: {\"a\": 1}\n\n"},
		{"null beside no choices", "data: {\"choices\":[],\"prompt_filter_results\":[],\"usage\":null}\n\n",
			"data: {\"choices\":[],\"prompt_filter_results\":[]}\n\n"},
		{"on a choice", "data: {\"choices\":[{\"delta\":{}}],\"usage\":{\"a\":{\"b\":1}}}\n\n",
			"data: {\"choices\":[{\"delta\":{}}]}\n\n"},
		{"first", "data: {\"usage\":{\"a\":1},\"choices\":[{}]}\n\n", "data: {\"choices\":[{}]}\n\n"},
		{"first, null, spaced", "data: {\"usage\": null, \"choices\": [{}]}\n\n", "data: {\"choices\": [{}]}\n\n"},
		{"spaced, on a choice", "data: {\"choices\": [{}], \"usage\": {\"a\": 1}, \"id\": \"\"}\n\n",
			"data: {\"choices\": [{}], \"id\": \"\"}\n\n"},
		{"of an error", "data: {\"choices\":[],\"error\":{\"code\":1},\"usage\":{\"a\":1}}\n\n",
			"data: {\"choices\":[],\"error\":{\"code\":1}}\n\n"},
	}
	same := map[string]string{
		"text that looks like it": `data: {"choices":[{"delta":{"content":",\"usage\":null} \"choices\":[],\"usage\":{}"}}]}`,
		"the word":                `data: {"choices":[{"delta":{"content":"usage"}}]}`,
		"no choices":              `data: {"choices":[]}`,
		"a comment":               `: "usage":{}`,
		"not JSON":                `data: "usage":{`,
		"not data":                `info: {"choices":[],"usage":{}}`,
		"nested":                  `data: {"choices":[{}],"x":{"usage":{"a":1}}}`,
		"an error":                `data: {"error":{"message":"overloaded"}}`,
	}
	for name, line := range same {
		cases = append(cases, struct{ name, sent, want string }{name, line + "\n\n", line + "\n\n"})
	}
	for _, test := range cases {
		for _, end := range []string{"\n", "\r\n"} {
			sent, want := strings.ReplaceAll(test.sent, "\n", end), strings.ReplaceAll(test.want, "\n", end)
			if got, _ := filtered(sent); strings.Join(got, "") != want {
				t.Errorf("%s, %q: %q", test.name, end, got)
			}
			for cut := 0; cut <= len(sent); cut++ { // wherever a write ends
				if got, _ := filtered(sent[:cut], sent[cut:]); strings.Join(got, "") != want {
					t.Errorf("%s, %q, cut at %d: %q", test.name, end, cut, got)
				}
			}
			if got, _ := filtered(strings.Split(sent, "")...); strings.Join(got, "") != want {
				t.Errorf("%s, %q, byte by byte: %q", test.name, end, strings.Join(got, ""))
			}
		}
	}
}

func TestAWholeEventIsNeverDelayed(t *testing.T) {
	got, _ := filtered("data: {\"a\":1}\n\n", "data: {\"b\":1}\n\ndata: {\"c\"", ":1}\n", "\n", ": ping\n\n", "event: e\n", "data: {}\n\n", "tail")
	want := []string{"data: {\"a\":1}\n\n", "data: {\"b\":1}\n\n", "data: {\"c\":1}\n", "\n", ": ping\n\n", "", "event: e\ndata: {}\n\n", "", "tail"}
	if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		t.Fatalf("%q", got)
	}
}

func TestAPieceThatIsNotChangedIsNotCopied(t *testing.T) {
	piece := []byte("data: {\"a\":1}\n\n")
	if got := passable(&askedReply{}, piece); &got[0] != &piece[0] {
		t.Fatal("copied")
	}
}

func TestALineWithoutEndIsNotHeldForEver(t *testing.T) {
	got, r := filtered(strings.Repeat("x", maxHeld), "yz", "more")
	if got[0] != "" || len(got[1]) != maxHeld+2 || got[2] != "more" || r.unfit == "" {
		t.Fatal(len(got[0]), len(got[1]), got[2])
	}
}

func TestUsageThatCanNotBeTakenOutPassesAndEndsTheAsking(t *testing.T) {
	line := "data: {\"choices\":[{}] ,\t\"usage\":{\"a\":1}}\n\n"
	if got, r := filtered(line); got[0] != line || r.unfit == "" {
		t.Fatalf("%q", got)
	}
}

func TestARefusalIsAnsweredWithTheClientsOwnRequest(t *testing.T) {
	for _, status := range []int{400, 422} {
		s := &seen{}
		m := tap(func(rw http.ResponseWriter, req *http.Request) {
			if body := s.note(req); strings.Contains(body, "stream_options") {
				rw.Header().Set("X-Refused", "yes")
				rw.Header().Set("X-Outer", "changed")
				rw.WriteHeader(status)
				_, _ = io.WriteString(rw, "no such field")
			} else {
				streamed(rw, plainEvents)
			}
		})
		m.config.InjectStreamUsage = true
		lessons = map[string]lesson{}
		inner := askForUsage(m)
		h := http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
			rw.Header().Set("X-Outer", "kept")
			inner.ServeHTTP(rw, req)
		})
		for i := 0; i < 3; i++ {
			rec := call(h, streamRequest)
			if rec.Code != 200 || rec.Body.String() != plainEvents || rec.Header().Get("X-Refused") != "" || rec.Header().Get("X-Outer") != "kept" {
				t.Fatalf("%d %q %v", rec.Code, rec.Body, rec.Header())
			}
		}
		// Watched, asked, once more, and from then on left alone.
		if fmt.Sprint(s.bodies) != fmt.Sprint([]string{streamRequest, askedRequest, streamRequest, streamRequest}) {
			t.Fatal(s.bodies)
		}
		// Both are reported: the upstream had two requests.
		admit(m.sender, nil, m.sender.finished)
		if m.sender.count() != 4 {
			t.Fatal(m.sender.count())
		}
	}
}

func TestABadRequestIsNoReasonNotToAsk(t *testing.T) {
	s := &seen{}
	h := asker(func(rw http.ResponseWriter, req *http.Request) {
		if body := s.note(req); strings.Contains(body, "bad") {
			rw.WriteHeader(400)
			_, _ = fmt.Fprintf(rw, "wrong at %d", strings.Index(body, "bad"))
		} else {
			streamed(rw, plainEvents)
		}
	})
	call(h, streamRequest)
	bad := strings.Replace(streamRequest, "hi", "bad", 1)
	if rec := call(h, bad); rec.Code != 400 || rec.Body.String() != fmt.Sprint("wrong at ", strings.Index(bad, "bad")) {
		t.Fatal(rec.Code, rec.Body)
	}
	call(h, streamRequest)
	if s.bodies[3] != askedRequest {
		t.Fatal(s.bodies)
	}
}

func TestOtherAnswersPassAsTheyAre(t *testing.T) {
	for _, status := range []int{201, 401, 404, 429, 500, 503} {
		s := &seen{}
		h := asker(func(rw http.ResponseWriter, req *http.Request) {
			if strings.Contains(s.note(req), "stream_options") {
				rw.WriteHeader(status)
				_, _ = io.WriteString(rw, "data: {\"choices\":[],\"usage\":{}}\n\n")
			} else {
				streamed(rw, plainEvents)
			}
		})
		call(h, streamRequest)
		if rec := call(h, streamRequest); rec.Code != status || rec.Body.String() != "data: {\"choices\":[],\"usage\":{}}\n\n" {
			t.Fatal(rec.Code, rec.Body)
		}
		if len(s.bodies) != 2 {
			t.Fatal(status, " was tried again")
		}
	}
}

func TestAStreamThatTurnsOutCompressedPassesAndIsNotAskedAgain(t *testing.T) {
	s := &seen{}
	h := asker(func(rw http.ResponseWriter, req *http.Request) {
		if strings.Contains(s.note(req), "stream_options") {
			rw.Header().Set("Content-Encoding", "gzip")
		}
		streamed(rw, plainEvents)
	})
	for i := 0; i < 3; i++ {
		if rec := call(h, streamRequest); rec.Body.String() != plainEvents {
			t.Fatalf("%q", rec.Body)
		}
	}
	if s.bodies[1] != askedRequest || s.bodies[2] != streamRequest {
		t.Fatal(s.bodies)
	}
}

func TestWhatIsHeldBackReachesTheClientOfABrokenStream(t *testing.T) {
	h := asker(func(rw http.ResponseWriter, req *http.Request) {
		if body, _ := io.ReadAll(req.Body); strings.Contains(string(body), "stream_options") {
			streamed(rw, "data: {}\n\ndata: {\"cho")
			panic(http.ErrAbortHandler)
		}
		streamed(rw, plainEvents)
	})
	call(h, streamRequest)
	rec := httptest.NewRecorder()
	func() {
		defer func() {
			if recover() != http.ErrAbortHandler {
				t.Error("the proxy's panic did not go on its way")
			}
		}()
		req := post(streamRequest)
		req.Header.Set("Content-Type", "application/json")
		h.ServeHTTP(rec, req)
	}()
	if rec.Body.String() != "data: {}\n\ndata: {\"cho" {
		t.Fatalf("%q", rec.Body)
	}
}

func TestABodyThatDoesNotComeWholeIsHandedOnWithItsError(t *testing.T) {
	broken := errors.New("connection reset")
	for _, end := range []error{broken, io.ErrUnexpectedEOF} {
		var got []byte
		var err error
		h := asker(func(_ http.ResponseWriter, req *http.Request) { got, err = io.ReadAll(req.Body) })
		req := post(streamRequest)
		req.Header.Set("Content-Type", "application/json")
		req.Body = io.NopCloser(io.MultiReader(strings.NewReader(streamRequest[:20]), failing{end}))
		h.ServeHTTP(httptest.NewRecorder(), req)
		if string(got) != streamRequest[:20] || err != end {
			t.Fatalf("%q %v", got, err)
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestAClientThatTakesNoMoreEndsTheReply(t *testing.T) {
	r := &askedReply{ResponseWriter: broken{httptest.NewRecorder()}, status: 200}
	r.control = http.NewResponseController(r.ResponseWriter)
	if _, err := r.Write([]byte("x")); err == nil {
		t.Fatal("the proxy was told that all is well")
	}
}

func TestWhatWasLearnedIsForgottenInTimeAndBounded(t *testing.T) {
	lessons = map[string]lesson{"old": {silent: true, until: time.Now().Add(-time.Second)}}
	if _, known := recall("old"); known {
		t.Error("never forgotten")
	}
	for i := 0; i < 3*maxLearned; i++ {
		learn(fmt.Sprint(i), true)
	}
	if len(lessons) > maxLearned {
		t.Error(len(lessons))
	}
	if silent, known := recall(fmt.Sprint(3*maxLearned - 1)); !silent || !known {
		t.Error("the last lesson is lost")
	}
}

func TestWithoutTheKeyNothingStandsBeforeTheTap(t *testing.T) {
	m := tap(nil)
	if askForUsage(m) != http.Handler(m) {
		t.Fatal("something does")
	}
}

func TestAskingNeedsBodies(t *testing.T) {
	c := CreateConfig()
	c.Apiurl, c.CaptureBodies, c.InjectStreamUsage = "http://127.0.0.1:8000", "never", true
	if _, err := check(c); err == nil || !strings.Contains(err.Error(), "injectStreamUsage") {
		t.Fatal(err)
	}
}

func BenchmarkFilter(b *testing.B) {
	chunk := []byte(`data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,` +
		`"delta":{"content":"word"},"logprobs":null,"finish_reason":null}],"usage":null}` + "\n\n")
	for name, piece := range map[string][]byte{"null": chunk, "none": bytes.ReplaceAll(chunk, noUsage, nil)} {
		b.Run(name, func(b *testing.B) {
			r := &askedReply{}
			for i := 0; i < b.N; i++ {
				passable(r, piece)
			}
		})
	}
}
