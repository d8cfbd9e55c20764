package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
)

// reader reads the replies of one HTTP/1.1 connection, and counts each one's bytes and pieces.
type reader struct {
	src     *bufio.Reader
	buffer  []byte
	status  int
	last    bool // the server closes the connection after this reply
	chunked bool
	left    int64 // of the chunk, or of the body where its length is known
	ended   bool
	count   int64 // bytes of the body that came
	pieces  int64 // chunks that it came in
}

func newReader(src io.Reader) *reader { return &reader{src: bufio.NewReaderSize(src, 64<<10)} }

// head reads up to the body.
func (r *reader) head() error {
	r.last, r.chunked, r.ended, r.left, r.count, r.pieces = false, false, false, -1, 0, 0
	line, err := r.line()
	if err != nil {
		return fmt.Errorf("no reply: %w", err)
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return fmt.Errorf("not HTTP/1.1: %.40q", line)
	}
	if r.status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return err
	}
	for {
		if line, err = r.line(); err != nil {
			return early(err)
		}
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if r.left, err = strconv.ParseInt(string(value), 10, 64); err != nil {
				return err
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			r.chunked = bytes.EqualFold(value, []byte("chunked"))
		case bytes.EqualFold(name, []byte("Connection")):
			r.last = bytes.EqualFold(value, []byte("close"))
		}
	}
	switch {
	case r.chunked:
		r.left = 0
	case r.left < 0:
		return errors.New("neither a length nor chunks")
	default:
		r.pieces = 1
	}
	return nil
}

// take reads `size` bytes of the body, across chunks, and tells when the first of them was here. They are
// valid until the next call.
func (r *reader) take(size int) (taken []byte, first time.Time, err error) {
	if cap(r.buffer) < size {
		r.buffer = make([]byte, size)
	}
	taken = r.buffer[:size]
	for filled := 0; filled < size; {
		if r.left == 0 {
			if err := r.chunk(); err != nil {
				return nil, first, err
			}
			if r.ended {
				return nil, first, errTruncated
			}
		}
		if filled == 0 {
			if _, err := r.src.Peek(1); err != nil {
				return nil, first, early(err)
			}
			first = time.Now()
		}
		n, err := io.ReadFull(r.src, taken[filled:filled+int(min(r.left, int64(size-filled)))])
		filled += n
		r.left -= int64(n)
		r.count += int64(n)
		if err != nil {
			return nil, first, early(err)
		}
	}
	return taken, first, nil
}

// expect reads as many bytes as are wanted, and compares.
func (r *reader) expect(wanted []byte) (time.Time, error) {
	got, first, err := r.take(len(wanted))
	if err == nil && !bytes.Equal(got, wanted) {
		err = errWrong
	}
	return first, err
}

// end makes sure that nothing follows.
func (r *reader) end() error {
	if r.left == 0 && !r.ended {
		if err := r.chunk(); err != nil {
			return err
		}
	}
	if r.left != 0 {
		return errWrong
	}
	return nil
}

// chunk goes to the next one, past what ends the last.
func (r *reader) chunk() error {
	if !r.chunked {
		r.ended = true
		return nil
	}
	if r.pieces > 0 {
		if _, err := r.line(); err != nil {
			return early(err)
		}
	}
	line, err := r.line()
	if err != nil {
		return early(err)
	}
	if r.left, err = strconv.ParseInt(string(line), 16, 64); err != nil {
		return err
	}
	if r.left > 0 {
		r.pieces++
		return nil
	}
	r.ended = true
	for { // trailers
		if line, err = r.line(); err != nil {
			return early(err)
		}
		if len(line) == 0 {
			return nil
		}
	}
}

func (r *reader) line() ([]byte, error) {
	line, err := r.src.ReadSlice('\n')
	return bytes.TrimRight(line, "\r\n"), err
}

// early tells replies that are cut short from other trouble.
func early(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errTruncated
	}
	return fmt.Errorf("%w: %w", errTruncated, err)
}
