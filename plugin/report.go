package llmtoken

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
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
	// The collector takes 4096 marks; this is enough to see how a stream went.
	maxTimeline = 1024
)

// report is the wire record; docs/report.md describes it field by field. Every field is exported and none
// is embedded: Yaegi's structs would leak the one and lose the other in JSON.
type report struct {
	Version          int               `json:"version"`
	RequestID        string            `json:"request_id"`
	Timestamp        time.Time         `json:"timestamp"`
	ElapsedTime      float64           `json:"elapsed_time"`
	Method           string            `json:"method"`
	Host             string            `json:"host"`
	Path             string            `json:"path"`
	Query            string            `json:"query,omitempty"`
	Status           int               `json:"status,omitempty"`
	Aborted          string            `json:"aborted"`
	RequestHeaders   map[string]string `json:"request_headers,omitempty"`
	ResponseHeaders  map[string]string `json:"response_headers,omitempty"`
	RequestBytes     int64             `json:"request_bytes"`
	RequestTruncated bool              `json:"request_truncated"`
	RequestBody      string            `json:"request_body"`
	RequestEncoding  string            `json:"request_body_encoding,omitempty"`
	// Nil when the reply went by untapped.
	ResponseBytes     *int64            `json:"response_bytes,omitempty"`
	ResponseTruncated *bool             `json:"response_truncated,omitempty"`
	ResponseBody      string            `json:"response_body"`
	ResponseEncoding  string            `json:"response_body_encoding,omitempty"`
	TimeToFirstByte   float64           `json:"time_to_first_byte,omitempty"`
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

// newReport describes an exchange that is over. It runs in the sender's goroutine.
func newReport(x *record, ledger source) *report {
	config, request := x.middleware.config, x.request
	r := &report{
		Version:       1,
		RequestID:     ledger.Boot + "-" + strconv.FormatInt(ledger.Sequence, 10),
		Timestamp:     x.start.UTC(),
		ElapsedTime:   x.elapsed.Seconds(),
		Method:        request.Method,
		Host:          request.Host,
		Path:          request.URL.EscapedPath(), // as it came: a model's name may hold an escaped slash
		Status:        x.status,
		Aborted:       x.aborted,
		CaptureBodies: config.CaptureBodies,
		Upstream:      clip(x.upstream, maxName),
		Provider:      config.Provider,
		Labels:        config.Labels,
		Middleware:    x.middleware.name,
		Source:        ledger,
	}
	if len(r.Method)+len(r.Host)+len(r.Path) > maxName {
		r.Method, r.Host, r.Path = clip(r.Method, maxName), clip(r.Host, maxName), clip(r.Path, maxLine)
	}
	if request.URL.RawQuery != "" {
		r.Query = harmlessQuery(request.URL.RawQuery)
	}
	if config.ConsumerHeader != "" || config.ConsumerFromKey != "" {
		r.Consumer = consumer(request, config)
	}
	if request.ContentLength != 0 {
		r.RequestHeaders = pick(request.Header, requestHeaders)
		r.RequestBytes = x.requestBytes
		body := x.requestCopy.Bytes()
		// An upstream that answers early may leave the rest unread: the body isn't whole then either.
		r.RequestTruncated = int64(len(body)) < x.requestBytes || x.requestBytes < request.ContentLength
		r.RequestBody, r.RequestEncoding = encodeBody(body)
	}
	if x.tapped {
		r.ResponseHeaders = pick(x.responseHeader, responseHeaders)
		body := x.responseCopy.Bytes()
		if int64(len(body)) > config.MaxResponseBody {
			body = body[:config.MaxResponseBody]
		}
		truncated := int64(len(body)) < x.written
		r.ResponseBytes, r.ResponseTruncated = &x.written, &truncated
		r.ResponseBody, r.ResponseEncoding = encodeBody(body)
	}
	if x.written > 0 {
		r.TimeToFirstByte = x.marks[0][1]
		r.Timeline = thin(x.marks, maxTimeline)
	}
	return r
}

// control are the characters that JSON writes in six bytes. Text doesn't have them; a large body
// of them would pass the collector's limit.
const control = "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x0b\x0c\x0e\x0f" +
	"\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f"

// encodeBody gives text as it is, and what isn't text (gzip, event streams, audio) in base64.
func encodeBody(body []byte) (string, string) {
	if utf8.Valid(body) && (len(body) < mebibyte || !bytes.ContainsAny(body, control)) {
		return string(body), ""
	}
	return base64.StdEncoding.EncodeToString(body), "base64"
}

// clip cuts at a bound of the collector, which counts characters; bytes are never fewer.
func clip(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "")
}

// ── What may leave the proxy ─────────────────────────────────────────────────────────────

// Only these headers and parameters are reported: what the collector reads, and what finds the call
// again at the provider. Nothing that lets anybody in.
var (
	requestHeaders  = allow("Content-Encoding", "Content-Type")
	responseHeaders = allow("Anthropic-Organization-Id", "Anthropic-Workspace-Id", "Apim-Request-Id", "Content-Encoding",
		"Content-Type", "Num-Tokens", "Num_tokens", "Openai-Model", "Openai-Organization", "Openai-Processing-Ms",
		"Openai-Version", "Request-Id", "Retry-After", "Server", "X-Amzn-Bedrock-Cache-Read-Input-Token-Count",
		"X-Amzn-Bedrock-Cache-Write-Input-Token-Count", "X-Amzn-Bedrock-Content-Type", "X-Amzn-Bedrock-Input-Token-Count",
		"X-Amzn-Bedrock-Invocation-Latency", "X-Amzn-Bedrock-Output-Token-Count", "X-Amzn-Errortype", "X-Amzn-Requestid",
		"X-Compute-Time", "X-Generated-Tokens", "X-Groq-Region", "X-Inference-Time", "X-Litellm-Call-Id",
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

// pick takes what is allowed. It goes through the shorter of the two, as each step is interpreted.
func pick(header http.Header, allowed map[string]string) map[string]string {
	picked := map[string]string{}
	if len(allowed) < len(header) {
		for name, lower := range allowed {
			if value := header.Get(name); len(value) > maxLine {
				picked[lower] = clip(value, maxLine)
			} else if value != "" {
				picked[lower] = value
			}
		}
	} else {
		for name := range header {
			if lower, ok := allowed[name]; ok {
				value := header.Get(name)
				if len(value) > maxLine {
					value = clip(value, maxLine)
				}
				picked[lower] = value
			}
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
func consumer(request *http.Request, config *Config) string {
	if config.ConsumerHeader != "" {
		if name := request.Header.Get(config.ConsumerHeader); name != "" {
			return clip(name, maxName)
		}
	}
	if config.ConsumerFromKey == "" {
		return ""
	}
	key := apiKey(request)
	if key == "" {
		return ""
	}
	hash := hmac.New(sha256.New, []byte(config.ConsumerFromKey))
	hash.Write([]byte(key))
	return hex.EncodeToString(hash.Sum(nil)[:8])
}

// apiKey finds the key where the providers' APIs take it.
func apiKey(request *http.Request) string {
	if key := strings.TrimPrefix(request.Header.Get("Authorization"), "Bearer "); key != "" {
		return key
	}
	for _, name := range []string{"X-Api-Key", "Api-Key", "X-Goog-Api-Key"} {
		if key := request.Header.Get(name); key != "" {
			return key
		}
	}
	return request.URL.Query().Get("key")
}
