package llmtoken

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	// question is put right behind the brace that opens the request; every other byte stays.
	question = `"stream_options":{"include_usage":true},`
	// maxAsking bounds the requests that are read before they are forwarded.
	maxAsking = 1 * mebibyte
	// maxMembers bounds the walk through the members of a request. Real ones have about ten.
	maxMembers = 64
)

// untouchable headers say that the body is encoded or signed, that the client waits before it sends it, or that
// another protocol may follow.
var untouchable = []string{"Content-Encoding", "Expect", "Upgrade", "Content-Md5", "Digest", "Content-Digest",
	"Repr-Digest", "Signature", "X-Amz-Content-Sha256"}

// streaming finds out at once what is no request for a stream. A text can't match: its quotes have backslashes.
var streaming = regexp.MustCompile(`"stream"\s*:\s*true`)

// known are the members that are looked at. Some servers take them in any case.
var known = map[string]bool{"messages": true, "model": true, "prompt": true, "stream": true}

// mayAsk tells by the head whether a request may be a chat or a completion in OpenAI's API. Its other APIs
// tell their usage unasked, or don't know stream_options.
func mayAsk(req *http.Request) bool {
	if req.Method != http.MethodPost || !strings.HasSuffix(req.URL.Path, "/completions") ||
		req.ContentLength < 1 || req.ContentLength > maxAsking {
		return false
	}
	for _, name := range untouchable {
		if req.Header.Get(name) != "" {
			return false
		}
	}
	kind, parameters, err := mime.ParseMediaType(req.Header.Get("Content-Type"))
	charset := parameters["charset"]
	return err == nil && kind == "application/json" && (charset == "" || strings.EqualFold(charset, "utf-8"))
}

// takeBody reads a request's body of known length, and puts it back to be read again. If it doesn't come whole,
// the reader of what came finds the same error behind it.
func takeBody(req *http.Request) ([]byte, bool) {
	taken := &bytes.Buffer{}
	_, err := io.CopyN(taken, req.Body, req.ContentLength)
	if err != nil {
		req.Body = io.NopCloser(io.MultiReader(taken, req.Body))
		return nil, false
	}
	req.Body = io.NopCloser(bytes.NewReader(taken.Bytes()))
	return taken.Bytes(), true
}

// plainStream tells whether a body is plainly a request for a stream whose client says nothing of usage, and for
// which model. Whatever is odd is not: members that differ from known ones in case only, or that come twice.
// Requests that say anything else of usage (OpenRouter has a member of that name) are left alone too.
func plainStream(body []byte) (string, bool) {
	if !streaming.Match(body) || bytes.Contains(body, []byte(`"stream_options"`)) || !utf8.Valid(body) {
		return "", false
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	token, err := decoder.Token()
	if open, ok := token.(json.Delim); err != nil || !ok || open != '{' {
		return "", false
	}
	members := map[string]bool{}
	stream, model := "", ""
	var value json.RawMessage
	for decoder.More() {
		token, err = decoder.Token()
		name, ok := token.(string)
		if err != nil || !ok || decoder.Decode(&value) != nil {
			return "", false
		}
		lower := strings.ToLower(name)
		if members[lower] || len(members) == maxMembers || strings.Contains(lower, "usage") {
			return "", false
		}
		members[lower] = true
		if known[lower] && lower != name {
			return "", false
		}
		if name == "stream" {
			stream = string(value)
		} else if name == "model" {
			model = string(value)
		}
	}
	if _, err = decoder.Token(); err != nil { // the closing brace
		return "", false
	}
	if _, err = decoder.Token(); err != io.EOF {
		return "", false
	}
	return model, stream == "true" && !members["stream_options"] && (members["messages"] || members["prompt"])
}

// asking is a copy of the request that asks for the usage.
func asking(req *http.Request, body []byte) *http.Request {
	brace := bytes.IndexByte(body, '{') + 1
	changed := make([]byte, 0, len(body)+len(question))
	changed = append(changed, body[:brace]...)
	changed = append(changed, question...)
	changed = append(changed, body[brace:]...)
	copied := req.Clone(req.Context())
	copied.Body = io.NopCloser(bytes.NewReader(changed))
	copied.ContentLength = int64(len(changed))
	if copied.Header.Get("Content-Length") != "" {
		copied.Header.Set("Content-Length", strconv.Itoa(len(changed)))
	}
	return copied
}
