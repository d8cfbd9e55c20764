package llmtoken

import (
	"bytes"
	"context"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func newTestSpool(t *testing.T, limit int64) *spool {
	t.Helper()
	return newSpool(t.TempDir(), "http://collector/api/report", limit)
}

// spooling is a way to that collector with a spool in that folder.
func spooling(c *collector, folder string) shipping {
	how := to(c)
	how.spoolDir, how.spoolBytes = folder, 10*mebibyte
	return how
}

// spoolOnly is a process that spools and then ends before it has delivered anything.
func spoolOnly(t *testing.T, how shipping, reports ...*report) {
	t.Helper()
	s := newSender(how, make(chan struct{}))
	s.spool = newSpool(how.spoolDir, how.url, how.spoolBytes)
	for _, r := range reports {
		s.batch.taken = []*report{r}
		writeReports(&s.batch, s.account(), 1, mebibyte, s.flush)
	}
}

func plant(t *testing.T, s *spool, name, text string) string {
	t.Helper()
	if err := os.MkdirAll(s.folder, 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(s.folder, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestFilesComeOutAsTheyWentInTheOldestFirst(t *testing.T) {
	s := newTestSpool(t, mebibyte)
	s.last = time.Now().Add(time.Hour).UnixMicro() // the clock was set back
	for i := 0; i < 20; i++ {
		if err := s.keep([]byte(fmt.Sprintf("%d\n", i)), 1); err != nil {
			t.Fatal(err)
		}
	}
	for i := 0; i < 20; i++ {
		file := s.oldest()
		lines, lost, err := s.read(file)
		if string(lines) != fmt.Sprintf("%d\n", i) || lost != 0 || err != nil {
			t.Fatalf("%d: %q, %d, %v", i, lines, lost, err)
		}
		if err := s.remove(file); err != nil {
			t.Fatal(err)
		}
	}
	if s.oldest() != "" || s.size() != 0 {
		t.Errorf("%s is left", s.oldest())
	}
}

func TestASpoolTakesNoMoreThanItsBytes(t *testing.T) {
	s := newTestSpool(t, 100)
	lines := append(bytes.Repeat([]byte("x"), 49), '\n')
	for i := 0; i < 2; i++ {
		if err := s.keep(lines, 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.keep([]byte("x\n"), 1); err == nil || !strings.Contains(err.Error(), "spoolBytes") || s.size() != 100 {
		t.Errorf("%v, %d bytes", err, s.size())
	}
	_ = s.remove(s.oldest())
	if err := s.keep([]byte("x\n"), 1); err != nil {
		t.Error("room that was made isn't used: ", err)
	}
}

func TestWhatIsSpooledIsItsOwnersAlone(t *testing.T) {
	s := newTestSpool(t, mebibyte)
	if err := s.keep([]byte("x\n"), 1); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{s.folder: 0o700 | os.ModeDir, s.oldest(): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
}

func TestEachCollectorHasItsOwnFolder(t *testing.T) {
	folder := t.TempDir()
	first, second := newSpool(folder, "http://one/api/report", mebibyte), newSpool(folder, "http://two/api/report", mebibyte)
	if err := first.keep([]byte("x\n"), 1); err != nil {
		t.Fatal(err)
	}
	if second.oldest() != "" || newSpool(folder, "http://one/api/report", 1).oldest() != first.oldest() {
		t.Error(first.folder, second.folder)
	}
}

func TestADamagedFileTellsHowManyReportsAreLostWithIt(t *testing.T) {
	s := newTestSpool(t, mebibyte)
	good := fmt.Sprintf("%016d-3-%08x.ndjson", 1, crc32.ChecksumIEEE([]byte("a\nb\nc\n")))
	for name, test := range map[string]struct {
		text string
		lost int64
	}{
		good:                                    {"a\nb\n", 3}, // cut short
		strings.Replace(good, "-3-", "-12-", 1): {"a\nb\nd\n", 12},
		"0-7-00000000.ndjson":                   {"x", 7},
		"0-x-ffffffff.ndjson":                   {"x", 0}, // nobody knows
		"foreign.ndjson":                        {"x", 0},
	} {
		lines, lost, err := s.read(plant(t, s, name, test.text))
		if err == nil || !strings.Contains(err.Error(), name) || lost != test.lost || lines != nil {
			t.Errorf("%s: %q, %d, %v", name, lines, lost, err)
		}
	}
}

func TestAFileThatIsWholeButCanNotBeReadNowIsNotGivenUp(t *testing.T) {

	c := collect(t)
	how := spooling(c, t.TempDir())
	spoolOnly(t, how, named("/kept"))
	s := newSpool(how.spoolDir, how.url, how.spoolBytes)
	file := s.oldest()
	hidden := file + ".hidden"
	if err := os.Rename(file, hidden); err != nil { // a loop of links can't be read, even by root
		t.Fatal(err)
	}
	if err := os.Symlink(file, file); err != nil {
		t.Fatal(err)
	}
	sending := start(t, how)
	time.Sleep(50 * time.Millisecond) // that nothing happens can't be awaited
	if a := sending.account(); a.Failed != 0 {
		t.Errorf("%+v", a)
	}
	if _, err := os.Lstat(file); err != nil {
		t.Error("it was removed")
	}
}

func TestWhatIsHalfWrittenIsNoFile(t *testing.T) {
	s := newTestSpool(t, mebibyte)
	young, old := plant(t, s, "1.draft", "{"), plant(t, s, "2.draft", "{")
	before := time.Now().Add(-2 * staleAfter)
	if err := os.Chtimes(old, before, before); err != nil {
		t.Fatal(err)
	}
	if s.oldest() != "" {
		t.Error(s.oldest())
	}
	s.clear()
	if _, err := os.Stat(young); err != nil {
		t.Error("another process's work was removed")
	}
	if _, err := os.Stat(old); err == nil {
		t.Error("what nobody works on stays")
	}
}

func TestADraftThatAKilledProcessLeftIsRemoved(t *testing.T) {

	c := collect(t)
	how := spooling(c, t.TempDir())
	draft := plant(t, newSpool(how.spoolDir, how.url, how.spoolBytes), "1.draft", "{")
	before := time.Now().Add(-2 * staleAfter)
	if err := os.Chtimes(draft, before, before); err != nil {
		t.Fatal(err)
	}
	start(t, how)
	for deadline := time.Now().Add(3 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(draft); err != nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("it stays")
		}
	}
}

func TestAFileThatAnotherProcessHasDeliveredIsNoError(t *testing.T) {
	s := newTestSpool(t, mebibyte)
	_ = s.keep([]byte("x\n"), 1)
	file := s.oldest()
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if lines, lost, err := s.read(file); lines != nil || lost != 0 || err != nil {
		t.Errorf("%q, %d, %v", lines, lost, err)
	}
	if err := s.remove(file); err != nil {
		t.Error(err)
	}
}

// stubborn plants what looks like a file and can't be removed.
func stubborn(t *testing.T, s *spool) string {
	t.Helper()
	name := fmt.Sprintf("%016d-1-%08x.ndjson", 1, 1)
	plant(t, &spool{folder: filepath.Join(s.folder, name)}, "within", "x")
	return filepath.Join(s.folder, name)
}

func TestAFileThatCanNotBeRemovedIsPassedOver(t *testing.T) {
	s := newTestSpool(t, mebibyte)
	file := stubborn(t, s)
	_ = s.keep([]byte("x\n"), 1)
	if s.oldest() != file {
		t.Fatal(s.oldest())
	}
	if err := s.remove(file); err == nil {
		t.Fatal("removed")
	}
	if next := s.oldest(); next == file || next == "" {
		t.Error(next)
	}
}

func TestADirectoryInTheSpoolHoldsNothingUp(t *testing.T) {
	c := collect(t)
	how := spooling(c, t.TempDir())
	stubborn(t, newSpool(how.spoolDir, how.url, how.spoolBytes))
	s := start(t, how)
	admit(s, small(), nil)
	eventually(t, "delivered", func() bool { return c.accepted() == 1 })
}

func TestSpooledReportsAreDeliveredAndTheirFilesRemoved(t *testing.T) {
	c := collect(t)
	s := start(t, spooling(c, t.TempDir()))
	for i := 0; i < 25; i++ {
		admit(s, small(), nil)
	}
	eventually(t, "25 accepted", func() bool { return c.accepted() == 25 })
	eventually(t, "no file is left", func() bool { return s.spool.oldest() == "" })
	if _, failed := s.lost(); failed != 0 {
		t.Errorf("%d failed", failed)
	}
}

func TestWhileTheCollectorIsAwayTheQueueStaysEmptyAndAllIsDeliveredAfterwards(t *testing.T) {
	c := collect(t)
	c.leave(true)
	how := spooling(c, t.TempDir())
	how.queueSize = 10
	s := start(t, how)
	for i := 0; i < 50; i++ { // five times what the queue takes
		admit(s, named(fmt.Sprint("/", i)), nil)
		eventually(t, "spooled", func() bool { return s.count() == 0 })
	}
	c.leave(false)
	eventually(t, "50 accepted", func() bool { return c.accepted() == 50 })
	for i, r := range c.reports(t) {
		if r.Path != fmt.Sprint("/", i) {
			t.Fatalf("%s is number %d", r.Path, i)
		}
	}
	if dropped, failed := s.lost(); dropped != 0 || failed != 0 {
		t.Errorf("%d dropped, %d failed", dropped, failed)
	}
}

func TestTheNextProcessDeliversWhatTheLastOneSpooledTheOldestFirst(t *testing.T) {
	c := collect(t)
	how := spooling(c, t.TempDir())
	spoolOnly(t, how, named("/0"), named("/1"))
	spoolOnly(t, how, named("/2"))
	s := start(t, how)
	eventually(t, "3 accepted", func() bool { return c.accepted() == 3 })
	admit(s, named("/3"), nil)
	eventually(t, "4 accepted", func() bool { return c.accepted() == 4 })
	boots := map[string]bool{}
	for i, r := range c.reports(t) {
		boots[r.Source.Boot] = true
		if r.Path != fmt.Sprint("/", i) {
			t.Errorf("%s is number %d", r.Path, i)
		}
	}
	if len(boots) != 3 {
		t.Errorf("%d processes", len(boots))
	}
}

func TestADamagedFileIsCountedAndTheNextIsDelivered(t *testing.T) {
	c := collect(t)
	how := spooling(c, t.TempDir())
	damaged := plant(t, newSpool(how.spoolDir, how.url, how.spoolBytes), "0000000000000001-3-00000000.ndjson", "{")
	spoolOnly(t, how, named("/whole"))
	s := start(t, how)
	eventually(t, "the whole one is accepted", func() bool { return c.accepted() == 1 })
	if a := s.account(); a.Failed != 3 || a.FailedBy[spoolDamaged] != 3 {
		t.Errorf("%+v", a)
	}
	if _, err := os.Stat(damaged); err == nil {
		t.Error("it stays")
	}
}

func TestSeveralSendersShareAFolder(t *testing.T) {
	c := collect(t)
	folder := t.TempDir()
	all := []*sender{}
	for i := 0; i < 3; i++ {
		how := spooling(c, folder)
		how.token = fmt.Sprint("t", i)
		all = append(all, start(t, how))
	}
	for i := 0; i < 60; i++ {
		admit(all[i%3], named(fmt.Sprint("/", i)), nil)
	}
	eventually(t, "60 different ones accepted", func() bool { return len(c.paths(t)) == 60 })
	eventually(t, "no file is left", func() bool { return all[0].spool.oldest() == "" })
	for _, s := range all {
		if dropped, failed := s.lost(); dropped != 0 || failed != 0 {
			t.Errorf("%d dropped, %d failed", dropped, failed)
		}
	}
}

func TestASenderThatEndsLeavesItsFilesToTheNext(t *testing.T) {
	c := collect(t)
	c.leave(true)
	how := spooling(c, t.TempDir())
	ctx, cancel := context.WithCancel(context.Background())
	old := acquire(ctx, how)
	admit(old, named("/kept"), nil)
	eventually(t, "spooled", func() bool { return old.spool.oldest() != "" && old.count() == 0 })
	eventually(t, "tried", func() bool { return c.asked() > 0 })
	cancel()
	eventually(t, "unused", func() bool { return old.unused(0) })
	neglect(old, 2*patience)
	eventually(t, "ended", old.over)
	if _, failed := old.lost(); failed != 0 || old.spool.oldest() == "" {
		t.Fatalf("%d failed, the oldest is %q", failed, old.spool.oldest())
	}
	c.leave(false)
	start(t, how)
	eventually(t, "delivered", func() bool { return c.paths(t)["/kept"] > 0 })
}

func TestWhatASpoolHasNoRoomForWaitsInMemory(t *testing.T) {
	c := collect(t)
	c.leave(true)
	how := spooling(c, t.TempDir())
	how.spoolBytes, how.batchSize = 1500, 1
	s := start(t, how)
	for i := 0; i < 20; i++ {
		admit(s, named(fmt.Sprint("/", i)), nil)
	}
	eventually(t, "both are in use", func() bool { return s.spool.oldest() != "" && s.count() > 0 && c.asked() >= 2 })
	if size := s.spool.size(); size > 1500 {
		t.Errorf("%d bytes", size)
	}
	c.leave(false)
	eventually(t, "20 accepted", func() bool { return len(c.paths(t)) == 20 && c.accepted() == 20 })
	if dropped, failed := s.lost(); dropped != 0 || failed != 0 {
		t.Errorf("%d dropped, %d failed", dropped, failed)
	}
}

func TestASpoolThatIsGoneDoesNotHoldUpDelivery(t *testing.T) {
	c := collect(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, spooling(c, file)) // no folder
	admit(s, small(), nil)
	eventually(t, "delivered", func() bool { return c.accepted() == 1 })
}

func TestASpooledBatchThatIsTooLargeIsHalved(t *testing.T) {
	c := collect(t)
	c.largest = 2
	how := spooling(c, t.TempDir())
	how.flushInterval = 50 * time.Millisecond
	s := start(t, how)
	for i := 0; i < 9; i++ {
		admit(s, small(), nil)
	}
	eventually(t, "9 accepted", func() bool { return c.accepted() == 9 })
	eventually(t, "no file is left", func() bool { return s.spool.oldest() == "" })
}

func TestACollectorThatHangsWhileItIsToldOfLossesDoesNotHoldUpTheSpool(t *testing.T) {

	hanging := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		<-hanging
	}))
	defer server.Close()
	c := &collector{Server: server}
	how := spooling(c, t.TempDir())
	how.timeout = time.Minute
	s := start(t, how)
	defer close(hanging)
	s.ledger.drop(queueFull, 1)
	hush(s, 2*quiet)
	eventually(t, "it is told", func() bool {
		s.toldLock.Lock()
		defer s.toldLock.Unlock()
		return time.Since(s.heard) < quiet
	})
	admit(s, small(), nil)
	eventually(t, "spooled", func() bool { return s.count() == 0 })
}

// oldest is the file to be delivered next, "" when there is none.
func (s *spool) oldest() string {
	if files := s.files(); len(files) > 0 {
		return files[0]
	}
	return ""
}
