package llmtoken

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"
)

// Bounds of the collector (exporter/llmtoken/report.py): what is longer is cut, so that no
// exchange, however odd, makes a report that is rejected.
const (
	maxName   = 256
	maxLine   = 8192
	maxLabels = 32
	// The collector takes 4096 marks; this is enough to see how a stream went.
	maxTimeline = 1024
)

// report is the wire record, docs/report.md describes it field by field, and what it is made of.
//
// It is filled where things happen, so that nothing is copied twice, and completed when it is written. What JSON shall
// see is exported and not embedded, and what it shall not see says so: Yaegi's structs would lose the one and
// leak the other.
type report struct {
	Version          int               `json:"version"`
	RequestID        string            `json:"request_id"`
	Timestamp        time.Time         `json:"timestamp"`
	ElapsedTime      float64           `json:"elapsed_time"`
	Method           string            `json:"method"`
	Host             string            `json:"host"`
	Path             string            `json:"path"` // with the query, until it is written
	Query            string            `json:"query,omitempty"`
	Status           int               `json:"status,omitempty"` // 0 when unknown
	Aborted          string            `json:"aborted"`
	RequestHeaders   map[string]string `json:"request_headers,omitempty"`
	ResponseHeaders  map[string]string `json:"response_headers,omitempty"`
	RequestBytes     int64             `json:"request_bytes"`
	RequestTruncated bool              `json:"request_truncated"`
	RequestBody      string            `json:"request_body"`
	RequestEncoding  string            `json:"request_body_encoding,omitempty"`
	// Nil when the reply went by untapped.
	ResponseBytes     *int              `json:"response_bytes,omitempty"`
	ResponseTruncated *bool             `json:"response_truncated,omitempty"`
	ResponseBody      string            `json:"response_body"`
	ResponseEncoding  string            `json:"response_body_encoding,omitempty"`
	TimeToFirstByte   float64           `json:"time_to_first_byte,omitempty"`
	Timeline          [][2]float64      `json:"timeline,omitempty"`
	CaptureBodies     string            `json:"capture_bodies"`
	Consumer          string            `json:"consumer,omitempty"`
	Upstream          string            `json:"upstream,omitempty"` // host:port of the server that Traefik chose
	Provider          string            `json:"provider,omitempty"`
	Labels            map[string]string `json:"labels,omitempty"`
	Middleware        string            `json:"middleware"`
	Source            account           `json:"source"`

	middleware      *Middleware   `json:"-"`
	start           time.Time     `json:"-"`
	end             time.Time     `json:"-"`
	requestLength   int64         `json:"-"` // as announced, -1 when it wasn't
	requestCopy     *bytes.Buffer `json:"-"`
	unread          bool          `json:"-"` // not all of the request was read: RequestBytes says how much
	contentType     []string      `json:"-"` // of the request
	contentEncoding []string      `json:"-"` // of the request
	caller          http.Header   `json:"-"` // the request's, when they may say who is calling
	responseHeader  http.Header   `json:"-"`
	untapped        bool          `json:"-"` // the reply went by
	responseCopy    []byte        `json:"-"`
	written         int           `json:"-"`
	truncated       bool          `json:"-"` // the reply's copy
	times           []time.Time   `json:"-"` // when bytes of the reply had left
	lengths         []int         `json:"-"` // how many in all, for each of the times
	cost            int64         `json:"-"` // memory held, for the queue's bound
}

// tidy takes the query off the path, keeps of it what is harmless, and cuts what is longer than the collector takes.
func tidy(r *report) {
	r.Path, r.Query = splitTarget(r.Path)
	r.Method = clip(r.Method, maxName)
	r.Host = clip(r.Host, maxName)
	r.Path = clip(r.Path, maxLine)
	r.Upstream = clip(r.Upstream, maxName)
}

// drawTimeline says when which bytes of a reply had left. The end of one of known length isn't marked.
func drawTimeline(r *report) {
	if r.lengths[len(r.lengths)-1] < r.written {
		r.times = append(r.times, r.end)
		r.lengths = append(r.lengths, r.written)
	}
	count := thin(r, 0, maxTimeline)
	r.Timeline = make([][2]float64, count)
	for i := 0; i < count; i++ {
		r.Timeline[i] = [2]float64{float64(r.lengths[i]), float64(r.times[i].Sub(r.start)) / 1e9}
	}
	r.TimeToFirstByte = r.Timeline[0][1]
}

// shorten cuts what is longer than the collector takes.
func shorten(headers map[string]string) {
	for name, value := range headers {
		headers[name] = clip(value, maxLine)
	}
}

// splitTarget gives the path as it came and of the query what is harmless, of a request's target, which may
// also be a whole address.
func splitTarget(target string) (string, string) {
	address, err := url.ParseRequestURI(target)
	if err != nil { // the server has parsed it, so this doesn't happen
		return target, ""
	}
	return address.EscapedPath(), harmlessQuery(address.RawQuery)
}

// control are the characters that JSON writes in six bytes. Text doesn't have them; a large body
// of them would pass the collector's limit.
const control = "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x0b\x0c\x0e\x0f" +
	"\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f"

// encode gives a body that may not be plain text as JSON takes it: what isn't text (gzip, event streams, audio) in base64.
func encode(body string) (string, string) {
	if utf8.ValidString(body) && (len(body) < mebibyte || !strings.ContainsAny(body, control)) {
		return body, ""
	}
	return base64.StdEncoding.EncodeToString([]byte(body)), "base64"
}

// clip cuts at a bound of the collector, which counts characters; bytes are never fewer.
func clip(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "")
}

// ── What may leave the proxy ─────────────────────────────────────────────────────────────

// Only these headers and parameters are reported, and of the request's headers its content's type and
// encoding: what the collector reads, and what finds the call
// again at the provider. Nothing that lets anybody in.
var (
	responseHeaders = allow("Anthropic-Organization-Id", "Anthropic-Workspace-Id", "Apim-Request-Id", "Content-Encoding",
		"Content-Type", "Num-Tokens", "Num_tokens", "Openai-Model", "Openai-Organization", "Openai-Processing-Ms",
		"Openai-Version", "Request-Id", "Retry-After", "Server", "X-Amzn-Bedrock-Cache-Read-Input-Token-Count",
		"X-Amzn-Bedrock-Cache-Write-Input-Token-Count", "X-Amzn-Bedrock-Content-Type", "X-Amzn-Bedrock-Input-Token-Count",
		"X-Amzn-Bedrock-Invocation-Latency", "X-Amzn-Bedrock-Output-Token-Count", "X-Amzn-Errortype", "X-Amzn-Requestid",
		"X-Compute-Time", "X-Compute-Tokens", "X-Generated-Tokens", "X-Groq-Region", "X-Inference-Time", "X-Litellm-Call-Id",
		"X-Litellm-Model-Id", "X-Ms-Region", "X-Prompt-Tokens", "X-Request-Id", "X-Total-Tokens")
	queryNames = map[string]bool{"after": true, "alt": true, "api-version": true, "before": true, "beta": true,
		"limit": true, "model": true, "order": true, "starting_after": true, "stream": true, "$alt": true}
	secretHeaders = map[string]bool{"Authorization": true, "Cookie": true, "Proxy-Authorization": true,
		"X-Api-Key": true, "Api-Key": true, "X-Goog-Api-Key": true, "Set-Cookie": true}
)

// allow maps the names as Go writes them in headers to the lower case of the wire record.
func allow(names ...string) map[string]string {
	allowed := map[string]string{}
	for _, name := range names {
		allowed[name] = strings.ToLower(name)
	}
	return allowed
}

func harmlessQuery(raw string) string {
	if raw == "" {
		return ""
	}
	all, _ := url.ParseQuery(raw) // what can't be parsed is left out
	harmless := url.Values{}
	for name, values := range all {
		if queryNames[name] {
			harmless[name] = values
		}
	}
	return clip(harmless.Encode(), maxLine)
}

// consumer says who called: what the configured header says, or else a keyed hash of the API key,
// the same for the same key, from which the key can't be found.
func consumer(r *report) string {
	config := r.middleware.config
	if config.ConsumerHeader != "" {
		if name := r.caller.Get(config.ConsumerHeader); name != "" {
			return clip(name, maxName)
		}
	}
	if config.ConsumerFromKey == "" {
		return ""
	}
	key := apiKey(r)
	if key == "" {
		return ""
	}
	hash := hmac.New(sha256.New, []byte(config.ConsumerFromKey))
	hash.Write([]byte(key))
	return hex.EncodeToString(hash.Sum(nil)[:8])
}

// apiKey finds the key where the providers' APIs take it.
func apiKey(r *report) string {
	if key := strings.TrimPrefix(r.caller.Get("Authorization"), "Bearer "); key != "" {
		return key
	}
	for _, name := range []string{"X-Api-Key", "Api-Key", "X-Goog-Api-Key"} {
		if key := r.caller.Get(name); key != "" {
			return key
		}
	}
	address, err := url.ParseRequestURI(r.Path)
	if err != nil {
		return ""
	}
	return address.Query().Get("key")
}
