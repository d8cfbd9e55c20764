package llmtoken

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestABodyIsTextOrBase64(t *testing.T) {
	large := bytes.Repeat([]byte{1}, mebibyte)
	cases := []struct {
		body     []byte
		encoding string
	}{
		{nil, ""},
		{[]byte("{\"text\": \"Grüße\"}\r\n\t"), ""},
		{[]byte{0x1f, 0x8b, 0xff}, "base64"},
		{[]byte("caf\xc3"), "base64"}, // cut within a character
		{[]byte{0, 1, 2}, ""},
		{large, "base64"}, // as text it would be six times as long
	}
	for _, test := range cases {
		text, encoding := encode(string(test.body))
		back := []byte(text)
		if encoding == "base64" {
			back, _ = base64.StdEncoding.DecodeString(text)
		}
		if encoding != test.encoding || !bytes.Equal(back, test.body) {
			t.Errorf("%.20q: %q", test.body, encoding)
		}
	}
}

func TestClippingCutsAtTheLimitAndKeepsCharactersWhole(t *testing.T) {
	for _, text := range []string{"", "short", strings.Repeat("x", 300), strings.Repeat("ü", 300), strings.Repeat("\xff", 300)} {
		clipped := clip(text, maxName)
		if len(clipped) > maxName || (len(text) > maxName && !utf8.ValidString(clipped)) || !strings.HasPrefix(text, clipped) {
			t.Errorf("%.10q became %.10q", text, clipped)
		}
	}
}

func TestOnlyAllowedHeadersArePicked(t *testing.T) {
	for _, extra := range []int{0, 100} { // it must not matter which of the two is longer
		header := http.Header{}
		for name := range secretHeaders {
			header.Set(name, "secret")
			if responseHeaders[name] != "" {
				t.Errorf("%s is allowed", name)
			}
		}
		for i := 0; i < extra; i++ {
			header.Set("X-Extra-"+strings.Repeat("x", i), "secret")
		}
		header.Set("content-type", "text/plain")
		header.Set("content-encoding", strings.Repeat("u", maxLine+1))
		m := tap(func(rw http.ResponseWriter, _ *http.Request) {
			for name, values := range header {
				rw.Header()[name] = values
			}
			rw.WriteHeader(http.StatusOK)
		})
		req := post("{}")
		req.Header = header.Clone()
		m.ServeHTTP(httptest.NewRecorder(), req)

		text := string(line(t, m.sender, finished(t, m)))
		if strings.Contains(text, "secret") {
			t.Errorf("%d extra: %.300s", extra, text)
		}
		got := &report{}
		if err := json.Unmarshal([]byte(text), got); err != nil {
			t.Fatal(err)
		}
		for _, picked := range []map[string]string{got.RequestHeaders, got.ResponseHeaders} {
			if len(picked) != 2 || picked["content-type"] != "text/plain" || len(picked["content-encoding"]) != maxLine {
				t.Errorf("%d extra: %.100v", extra, picked)
			}
		}
	}
}

func TestAllowedHeadersAreWrittenAsGoKeepsThem(t *testing.T) {
	for name := range responseHeaders {
		if name != http.CanonicalHeaderKey(name) {
			t.Errorf("%s would never be found", name)
		}
	}
}

func TestOnlyHarmlessParametersAreReported(t *testing.T) {
	cases := map[string]string{
		"":                                "",
		"key=secret":                      "",
		"alt=sse&key=secret":              "alt=sse",
		"api-version=2024-10-21&KEY=s":    "api-version=2024-10-21",
		"%6bey=secret&stream=true":        "stream=true",
		"stream=true;key=secret":          "",
		"alt=%zz&limit=5":                 "limit=5",
		"alt=" + strings.Repeat("x", 9e3): "alt=" + strings.Repeat("x", maxLine-4),
	}
	for raw, want := range cases {
		if got := harmlessQuery(raw); got != want {
			t.Errorf("%.40q: %.40q", raw, got)
		}
	}
}

func TestTheSameKeyIsTheSameConsumerWhereverItStands(t *testing.T) {
	secret := "0123456789abcdef"
	name := func(secret, query string, header ...string) string {
		m := tap(func(_ http.ResponseWriter, req *http.Request) { req.Header = nil }, // it is kept as it came
			func(c *Config) { c.ConsumerFromKey = secret })
		req := httptest.NewRequest("POST", "/v1/messages?"+query, nil)
		if len(header) > 0 {
			req.Header.Set(header[0], header[1])
		}
		m.ServeHTTP(httptest.NewRecorder(), req)
		return reported(t, m).Consumer
	}
	want := name(secret, "", "Authorization", "Bearer sk-1")
	for _, got := range []string{
		name(secret, "", "X-Api-Key", "sk-1"), name(secret, "", "Api-Key", "sk-1"),
		name(secret, "", "X-Goog-Api-Key", "sk-1"), name(secret, "key=sk-1"),
	} {
		if got != want || len(got) != 16 || strings.Contains(got, "sk") {
			t.Errorf("%q, not %q", got, want)
		}
	}
	others := []string{name(secret, ""), name(secret, "key=sk-2"), name("another secret!!", "key=sk-1")}
	for _, other := range others {
		if other == want {
			t.Errorf("%q twice", other)
		}
	}
	if others[0] != "" {
		t.Errorf("%q without a key", others[0])
	}
}

func TestAReportHasNothingButItsFields(t *testing.T) {
	m := tap(func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write([]byte("<html>&")) })
	m.ServeHTTP(httptest.NewRecorder(), post("{}"))
	m.sender.ledger.total.Boot = "b"
	text := line(t, m.sender, finished(t, m))
	if strings.Count(string(text), "\n") != 1 || !strings.Contains(string(text), `"response_body":"<html>&"`) {
		t.Fatal(string(text))
	}
	fields := map[string]interface{}{}
	if err := json.Unmarshal(text, &fields); err != nil {
		t.Fatal(err)
	}
	for name := range fields {
		if name != strings.ToLower(name) {
			t.Errorf("leaks %s", name)
		}
	}
	if fields["request_id"] != "b-1" {
		t.Errorf("%v", fields["request_id"])
	}
}
