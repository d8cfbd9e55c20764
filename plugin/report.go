package llmtoken

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
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
)

// report is the wire record; docs/report.md describes it field by field. Every field is exported and none
// is embedded: Yaegi's structs would leak the one and lose the other in JSON.
type report struct {
	Version          int               `json:"version"`
	RequestID        string            `json:"request_id"`
	Timestamp        string            `json:"timestamp"`
	ElapsedTime      float64           `json:"elapsed_time"`
	Method           string            `json:"method"`
	Host             string            `json:"host"`
	Path             string            `json:"path"`
	Query            string            `json:"query,omitempty"`
	Status           int               `json:"status,omitempty"`
	Aborted          string            `json:"aborted"`
	RequestHeaders   map[string]string `json:"request_headers"`
	ResponseHeaders  map[string]string `json:"response_headers"`
	RequestBytes     int64             `json:"request_bytes"`
	RequestTruncated bool              `json:"request_truncated"`
	RequestBody      string            `json:"request_body"`
	RequestEncoding  string            `json:"request_body_encoding,omitempty"`
	// Nil when the reply went by untapped.
	ResponseBytes     *int64            `json:"response_bytes,omitempty"`
	ResponseTruncated *bool             `json:"response_truncated,omitempty"`
	ResponseBody      string            `json:"response_body"`
	ResponseEncoding  string            `json:"response_body_encoding,omitempty"`
	TimeToFirstByte   *float64          `json:"time_to_first_byte,omitempty"`
	Timeline          [][2]float64      `json:"timeline,omitempty"`
	CaptureBodies     string            `json:"capture_bodies"`
	Consumer          string            `json:"consumer,omitempty"`
	Upstream          string            `json:"upstream,omitempty"`
	Provider          string            `json:"provider,omitempty"`
	Labels            map[string]string `json:"labels,omitempty"`
	Middleware        string            `json:"middleware"`
	Source            source            `json:"source"`
}

// source is the loss ledger.
type source struct {
	Boot     string `json:"boot"`
	Sequence int64  `json:"sequence"`
	Dropped  int64  `json:"dropped"`
	Failed   int64  `json:"failed"`
}

// newReport describes a finished exchange. It runs in the sender's goroutine.
func newReport(x *exchange, ledger source) *report {
	config := x.middleware.config
	r := &report{
		Version:         1,
		RequestID:       ledger.Boot + "-" + strconv.FormatInt(ledger.Sequence, 10),
		Timestamp:       x.start.UTC().Format(time.RFC3339Nano),
		ElapsedTime:     x.elapsed,
		Method:          clip(x.method, maxName),
		Host:            clip(x.host, maxName),
		Path:            clip(wirePath(x.path, x.rawPath), maxLine),
		Query:           harmlessQuery(x.query),
		Status:          x.status,
		Aborted:         x.aborted,
		RequestHeaders:  pick(x.requestHeader, requestHeaders),
		ResponseHeaders: pick(x.responseHeader, responseHeaders),
		RequestBytes:    x.seen,
		CaptureBodies:   config.CaptureBodies,
		Consumer:        consumer(x, config),
		Upstream:        x.upstream,
		Provider:        config.Provider,
		Labels:          config.Labels,
		Middleware:      x.middleware.name,
		Source:          ledger,
	}
	body := cut(x.request, config.MaxRequestBody)
	// An upstream that answers early may leave the rest unread: the body isn't whole then either.
	r.RequestTruncated = int64(len(body)) < x.seen || x.seen < x.requestLength
	r.RequestBody, r.RequestEncoding = encodeBody(body)
	if x.stride == 0 { // untapped
		return r
	}
	body = cut(x.response.Bytes(), config.MaxResponseBody)
	truncated := int64(len(body)) < x.written
	r.ResponseBytes, r.ResponseTruncated = &x.written, &truncated
	r.ResponseBody, r.ResponseEncoding = encodeBody(body)
	if len(x.timeline) > 0 {
		first := x.timeline[0][1]
		r.TimeToFirstByte = &first
		if x.timeline[len(x.timeline)-1][0] != float64(x.written) { // thinned out: the last mark is always sent
			x.timeline = append(x.timeline, [2]float64{float64(x.written), x.last})
		}
		r.Timeline = x.timeline
	}
	return r
}

func (r *report) encode(to io.Writer) error {
	encoder := json.NewEncoder(to)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(r) // with a line end, so records in a row are NDJSON
}

// control are the characters that JSON writes in six bytes. Text doesn't have them.
const control = "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x0b\x0c\x0e\x0f" +
	"\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f"

// encodeBody gives text as it is, and what isn't text (gzip, event streams, audio) in base64.
func encodeBody(body []byte) (string, string) {
	if utf8.Valid(body) && !bytes.ContainsAny(body, control) {
		return string(body), ""
	}
	return base64.StdEncoding.EncodeToString(body), "base64"
}

func cut(body []byte, limit int64) []byte {
	if int64(len(body)) > limit {
		return body[:limit]
	}
	return body
}

// clip cuts at a bound of the collector, which counts characters; bytes are never fewer.
func clip(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "")
}

// announced is the Content-Length of a header, -1 when there is none.
func announced(header http.Header) int64 {
	length, err := strconv.ParseInt(header.Get("Content-Length"), 10, 64)
	if err != nil {
		return -1
	}
	return length
}

// wirePath is the path as the client wrote it: a model's name may hold an escaped slash.
func wirePath(path, rawPath string) string {
	location := url.URL{Path: path, RawPath: rawPath}
	return location.EscapedPath()
}

// ── What may leave the proxy ─────────────────────────────────────────────────────────────

// Only these headers and parameters are reported: what the collector reads, or a person
// needs to find the call at the provider. Nothing that lets anybody in.
var (
	requestHeaders = allow("Accept", "Accept-Encoding", "Anthropic-Beta", "Anthropic-Version", "Content-Encoding",
		"Content-Type", "Http-Referer", "Openai-Beta", "Openai-Organization", "Openai-Project", "Traceparent",
		"User-Agent", "X-Request-Id", "X-Title")
	responseHeaders = allow("Anthropic-Organization-Id", "Anthropic-Workspace-Id", "Apim-Request-Id", "Cf-Ray",
		"Content-Encoding", "Content-Type", "Num-Tokens", "Num_tokens", "Openai-Model", "Openai-Organization",
		"Openai-Processing-Ms", "Openai-Version", "Request-Id", "Retry-After", "Server", "X-Amzn-Bedrock-Cache-Read-Input-Token-Count",
		"X-Amzn-Bedrock-Cache-Write-Input-Token-Count", "X-Amzn-Bedrock-Content-Type", "X-Amzn-Bedrock-Input-Token-Count",
		"X-Amzn-Bedrock-Invocation-Latency", "X-Amzn-Bedrock-Output-Token-Count", "X-Amzn-Errortype", "X-Amzn-Requestid",
		"X-Compute-Time", "X-Envoy-Upstream-Service-Time", "X-Generated-Tokens", "X-Groq-Region", "X-Inference-Time",
		"X-Litellm-Call-Id", "X-Litellm-Model-Group", "X-Litellm-Model-Id", "X-Litellm-Response-Cost", "X-Ms-Region",
		"X-Prompt-Tokens", "X-Request-Id", "X-Time-Per-Token", "X-Total-Time", "X-Total-Tokens", "X-Validation-Time")
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

func pick(header http.Header, allowed map[string]string) map[string]string {
	picked := map[string]string{}
	for name, values := range header {
		if lower, ok := allowed[name]; ok {
			picked[lower] = clip(strings.Join(values, ", "), maxLine)
		}
	}
	return picked
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
func consumer(x *exchange, config *Config) string {
	if config.ConsumerHeader != "" {
		if name := x.requestHeader.Get(config.ConsumerHeader); name != "" {
			return clip(name, maxName)
		}
	}
	if config.ConsumerFromKey == "" {
		return ""
	}
	key := apiKey(x.requestHeader, x.query)
	if key == "" {
		return ""
	}
	hash := hmac.New(sha256.New, []byte(config.ConsumerFromKey))
	hash.Write([]byte(key))
	return hex.EncodeToString(hash.Sum(nil)[:8])
}

// apiKey finds the key where the providers' APIs take it.
func apiKey(header http.Header, query string) string {
	if key := strings.TrimPrefix(header.Get("Authorization"), "Bearer "); key != "" {
		return key
	}
	for _, name := range []string{"X-Api-Key", "Api-Key", "X-Goog-Api-Key"} {
		if key := header.Get(name); key != "" {
			return key
		}
	}
	values, _ := url.ParseQuery(query)
	return values.Get("key")
}
