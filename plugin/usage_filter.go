package llmtoken

import (
	"bytes"
	"encoding/json"
	"strings"
)

// maxHeld bounds a line of which the end has not come.
const maxHeld = 1 * mebibyte

var (
	usageName     = []byte(`"usage":`)
	timingsName   = []byte(`"timings":`) // llama.cpp's, which it puts elsewhere when asked for usage
	noUsage       = []byte(`,"usage":null`)
	noUsageSpaced = []byte(`, "usage": null`) // as Python writes it
	dataField     = []byte("data:")
	eventField    = []byte("event:")
	idField       = []byte("id:")
	newline       = []byte("\n")
	crlf          = []byte("\r\n")
	blankLine     = []byte("\n\n")
	blankCRLF     = []byte("\n\r\n")
)

// passable takes the next piece of a stream and gives what of all that came may pass. It holds back the beginning of
// a line, which no client can use yet, and the first fields of an event until its data comes.
func passable(r *askedReply, p []byte) []byte {
	if len(r.held) > 0 {
		p = append(r.held, p...)
		r.held = nil
	}
	end := bytes.LastIndexByte(p, '\n') + 1
	for fields := 0; end > 0 && fields < 4; fields++ {
		last := bytes.LastIndexByte(p[:end-1], '\n') + 1
		if !bytes.HasPrefix(p[last:end], eventField) && !bytes.HasPrefix(p[last:end], idField) {
			break
		}
		end = last
	}
	if len(p)-end > maxHeld {
		r.filters = false
		r.unfit = "sends lines without end"
		return p
	}
	if end < len(p) {
		r.held = append([]byte{}, p[end:]...)
		p = p[:end]
	}
	return withoutUsage(r, p)
}

// withoutUsage takes out of whole lines what is there only because we asked. The plain stream has shown no
// such member anywhere, so all of it is ours. The patterns can't hit a text: inside a JSON string each quote
// stands behind a backslash, here the first does behind a comma, a space or a brace.
func withoutUsage(r *askedReply, p []byte) []byte {
	if r.hiding {
		p = behindEvent(r, p)
	}
	if !bytes.Contains(p, usageName) {
		return p
	}
	p = bytes.ReplaceAll(bytes.ReplaceAll(p, noUsage, nil), noUsageSpaced, nil)
	passing := make([]byte, 0, len(p))
	for {
		at := bytes.Index(p, usageName)
		if at < 0 {
			return append(passing, p...)
		}
		begin := bytes.LastIndexByte(p[:at], '\n') + 1
		end := at + bytes.IndexByte(p[at:], '\n') + 1
		if end == at { // the end of the reply
			end = len(p)
		}
		line, hide := cleaned(r, p[begin:end])
		if hide {
			passing = append(passing, p[:eventStart(p[:begin])]...)
			p = behindEvent(r, p[end:])
		} else {
			passing = append(passing, p[:begin]...)
			passing = append(passing, line...)
			p = p[end:]
		}
	}
}

// cleaned takes the usage out of a line, and tells if the whole event is there for its sake: it has no choices.
func cleaned(r *askedReply, line []byte) ([]byte, bool) {
	var chunk map[string]json.RawMessage
	if !bytes.HasPrefix(line, dataField) || json.Unmarshal(line[len(dataField):], &chunk) != nil {
		return line, false
	}
	usage, told := chunk["usage"]
	if !told {
		return line, false
	}
	choices := bytes.TrimSpace(bytes.TrimPrefix(chunk["choices"], []byte("[")))
	if bytes.Equal(choices, []byte("]")) && usage[0] == '{' &&
		chunk["error"] == nil && chunk["prompt_filter_results"] == nil {
		return line, true
	}
	// All of the line but the member, comma and spaces included, as it was.
	for _, form := range [][2]string{{`,"usage":`, ""}, {`, "usage": `, ""}, {`{"usage":`, ","}, {`{"usage": `, ", "}} {
		member := form[0] + string(usage) + form[1]
		if bytes.Count(line, []byte(member)) == 1 {
			return bytes.Replace(line, []byte(member), []byte(strings.TrimLeft(member[:1], ",")), 1), false
		}
	}
	r.unfit = "tells its usage where it can't be hidden"
	return line, false
}

// eventStart gives where the event begins whose data comes behind these lines.
func eventStart(lines []byte) int {
	start := 0
	if bytes.HasPrefix(lines, newline) {
		start = 1
	} else if bytes.HasPrefix(lines, crlf) {
		start = 2
	}
	if at := bytes.LastIndex(lines, blankLine); at+2 > start && at >= 0 {
		start = at + 2
	}
	if at := bytes.LastIndex(lines, blankCRLF); at+3 > start && at >= 0 {
		start = at + 3
	}
	return start
}

// behindEvent gives the lines behind the hidden event, and notes whether its end has come.
func behindEvent(r *askedReply, lines []byte) []byte {
	if bytes.HasPrefix(lines, newline) {
		r.hiding = false
		return lines[1:]
	}
	if bytes.HasPrefix(lines, crlf) {
		r.hiding = false
		return lines[2:]
	}
	end := -1
	if at := bytes.Index(lines, blankLine); at >= 0 {
		end = at + 2
	}
	if at := bytes.Index(lines, blankCRLF); at >= 0 && (end < 0 || at+3 < end) {
		end = at + 3
	}
	r.hiding = end < 0
	if r.hiding {
		return nil
	}
	return lines[end:]
}
