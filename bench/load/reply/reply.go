// Package reply is what the upstream answers. The client has it too, and so knows every byte that must arrive.
package reply

import (
	"bytes"
	"strconv"
	"strings"
	"time"
)

// JSON is a finished chat completion.
var JSON = []byte(`{"id":"chatcmpl-bench","object":"chat.completion","created":1700000000,"model":"gpt-bench",` +
	`"choices":[{"index":0,"message":{"role":"assistant","content":"` +
	strings.Repeat("The quick brown fox jumps over the lazy dog while the gateway counts. ", 18) +
	`"},"logprobs":null,"finish_reason":"stop"}],` +
	`"usage":{"prompt_tokens":480,"completion_tokens":270,"total_tokens":750}}`)

// Done ends every stream.
var Done = []byte("data: [DONE]\n\n")

// An event has one size, whatever its number, so that its place in a stream is known: the time at
// which it was sent, in nanoseconds, then a chunk of a completion.
const (
	stamp  = 19
	before = "id: "
	middle = "\n" + `data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1700000000,` +
		`"model":"gpt-bench","choices":[{"index":0,"delta":{"content":" word`
	digits = 6
	after  = `"},"logprobs":null,"finish_reason":null}]}` + "\n\n"

	// EventSize is the length of an event in bytes.
	EventSize = len(before) + stamp + len(middle) + digits + len(after)
	// MostEvents is how many a stream can have.
	MostEvents = 999_999
)

// Event writes one over `buffer`, which it gives back.
func Event(buffer []byte, number int, now time.Time) []byte {
	buffer = append(buffer[:0], before...)
	buffer = strconv.AppendInt(buffer, now.UnixNano(), 10)
	buffer = append(buffer, middle...)
	text := strconv.Itoa(number)
	for i := len(text); i < digits; i++ {
		buffer = append(buffer, '0')
	}
	buffer = append(buffer, text...)
	return append(buffer, after...)
}

// Sent takes the time out of an event, which must otherwise be just what Event wrote.
func Sent(event []byte, number int) (time.Time, bool) {
	if len(event) != EventSize {
		return time.Time{}, false
	}
	nanoseconds, err := strconv.ParseInt(string(event[len(before):len(before)+stamp]), 10, 64)
	if err != nil {
		return time.Time{}, false
	}
	sent := time.Unix(0, nanoseconds)
	return sent, bytes.Equal(event, Event(make([]byte, 0, EventSize), number, sent))
}

// StreamSize is the length of a whole stream.
func StreamSize(events int) int64 { return int64(events*EventSize + len(Done)) }
