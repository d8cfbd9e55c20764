package llmtoken

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

// staleAfter is how old a half-written file must be to be nobody's work any more.
const staleAfter = time.Minute

// spool keeps batches in files until the collector has them, so that they outlive it being away and Traefik
// itself. Every batch goes by here and stays for as long as its delivery takes, usually some milliseconds.
//
// A file's name sorts by age, and says what must be in it: <microseconds>-<lines>-<checksum>.ndjson. It gets the
// name when it is whole, on disk. Several processes may share the folder: what two of them deliver, the
// collector takes once.
type spool struct {
	folder string // of this collector alone
	limit  int64  // bytes of all files
	more   chan struct{}

	lock sync.Mutex // guards what follows
	held int64      // bytes of all files, at most; other processes may have removed some
	last int64      // microseconds of the youngest file, so that names differ and sort
	// Delivered files that can't be removed; replaced, never changed.
	stuck map[string]bool
}

func newSpool(folder, url string, limit int64) *spool {
	hash := sha256.Sum256([]byte(url))
	s := &spool{folder: filepath.Join(folder, hex.EncodeToString(hash[:8])), limit: limit, more: make(chan struct{}, 1)}
	s.held = s.size()
	return s
}

// keep puts lines into a file. What it can't keep, for want of room or because the disk doesn't let it, is the caller's.
func (s *spool) keep(lines []byte, count int) error {
	if err := os.MkdirAll(s.folder, 0o700); err != nil {
		return err
	}
	size := int64(len(lines))
	if !s.reserve(size) {
		return fmt.Errorf("%s holds %d bytes, spoolBytes allows %d", s.folder, s.size(), s.limit)
	}
	if err := s.write(lines, count); err != nil {
		s.release(size)
		return err
	}
	select {
	case s.more <- struct{}{}:
	default:
	}
	return nil
}

func (s *spool) write(lines []byte, count int) error {
	draft, err := os.CreateTemp(s.folder, "*.draft") // for its owner alone: prompts are in it
	if err != nil {
		return err
	}
	_, err = draft.Write(lines)
	err = errors.Join(err, draft.Sync(), draft.Close())
	if err == nil {
		err = os.Rename(draft.Name(), filepath.Join(s.folder, s.name(lines, count)))
	}
	if err != nil {
		_ = os.Remove(draft.Name())
		return err
	}
	// Or a power cut could take the name. Where folders can't be synced, that is as it is.
	if folder, err := os.Open(s.folder); err == nil {
		_ = folder.Sync()
		_ = folder.Close()
	}
	return nil
}

// reserve takes so many bytes of what is allowed, if there are.
func (s *spool) reserve(size int64) bool {
	s.lock.Lock()
	full := s.held+size > s.limit
	s.lock.Unlock()
	held := int64(0)
	if full {
		held = s.size() // others may have made room
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	if full {
		s.held = held
	}
	if s.held+size > s.limit {
		return false
	}
	s.held += size
	return true
}

func (s *spool) release(size int64) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.held -= size
}

func (s *spool) name(lines []byte, count int) string {
	s.lock.Lock()
	defer s.lock.Unlock()
	now := time.Now().UnixMicro()
	if now <= s.last {
		now = s.last + 1
	}
	s.last = now
	return fmt.Sprintf("%016d-%d-%08x.ndjson", now, count, crc32.ChecksumIEEE(lines))
}

// files lists the finished files, the oldest first, without those that we are through with.
func (s *spool) files() []string {
	found, _ := filepath.Glob(filepath.Join(s.folder, "*.ndjson")) // the pattern is right, and no folder is no file
	sort.Strings(found)
	s.lock.Lock()
	stuck := s.stuck
	s.lock.Unlock()
	if len(stuck) == 0 {
		return found
	}
	files := []string{}
	for _, file := range found {
		if !stuck[file] {
			files = append(files, file)
		}
	}
	return files
}

func (s *spool) size() int64 {
	total := int64(0)
	for _, file := range s.files() {
		if info, err := os.Stat(file); err == nil {
			total += info.Size()
		}
	}
	return total
}

// wait returns when there may be a file, or it is time to look.
func (s *spool) wait() {
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	select {
	case <-s.more:
	case <-timer.C:
	}
}

// errDamaged says that a file isn't what its name says, and never will be.
var errDamaged = errors.New("is damaged")

// read gives the lines of a file; none, when another process was faster. Of one that is damaged it says how many
// reports are lost with it.
func (s *spool) read(file string) (lines []byte, lost int64, err error) {
	lines, err = os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	parts := strings.Split(strings.TrimSuffix(filepath.Base(file), ".ndjson"), "-")
	if len(parts) == 3 {
		lost, _ = strconv.ParseInt(parts[1], 10, 64)
	}
	if len(parts) != 3 || fmt.Sprintf("%08x", crc32.ChecksumIEEE(lines)) != parts[2] {
		return nil, lost, fmt.Errorf("the spool's file %s %w", file, errDamaged)
	}
	return lines, 0, nil
}

// remove takes a file away. One that can't be is passed over from then on, or it would be delivered for ever.
func (s *spool) remove(file string) error {
	size := int64(0)
	if info, err := os.Stat(file); err == nil {
		size = info.Size()
	}
	err := os.Remove(file)
	if err == nil {
		s.release(size)
	}
	if err == nil || errors.Is(err, os.ErrNotExist) {
		return nil
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	stuck := map[string]bool{file: true}
	for other := range s.stuck {
		stuck[other] = true
	}
	s.stuck = stuck
	return err
}

// clear removes what a process that was killed has left half-written.
func (s *spool) clear() {
	drafts, _ := filepath.Glob(filepath.Join(s.folder, "*.draft"))
	for _, draft := range drafts {
		if info, err := os.Stat(draft); err == nil && time.Since(info.ModTime()) > staleAfter {
			_ = os.Remove(draft)
		}
	}
}
