package llmtoken

import (
	"encoding/json"
	"reflect"
	"strings"
	"sync"
	"testing"
)

func TestTheReasonsAddUp(t *testing.T) {
	l := &ledger{}
	var all sync.WaitGroup
	for i := 0; i < 10; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			l.drop(queueFull, 1)
			l.fail(refused, 2)
			l.fail(rejected, 3)
			l.fail(spoolDamaged, 0)
		}()
	}
	all.Wait()
	want := account{Sequence: 7, Dropped: 10, Failed: 50,
		DroppedBy: map[string]int64{queueFull: 10}, FailedBy: map[string]int64{refused: 20, rejected: 30}}
	if got := l.now(7); !reflect.DeepEqual(got, want) || l.lost() != 60 {
		t.Errorf("%+v", got)
	}
}

func TestWhatTheLedgerHasGivenOutDoesNotChange(t *testing.T) {
	l := &ledger{}
	l.drop(queueFull, 1)
	l.fail(refused, 1)
	before := l.now(1)
	said := before.header()
	l.drop(queueFull, 1)
	l.fail(refused, 1)
	l.fail(rejected, 1)
	if before.header() != said {
		t.Errorf("%s became %s", said, before.header())
	}
}

func TestTheAccountIsOneLineOfJSON(t *testing.T) {
	l := &ledger{}
	l.total.Boot = "b"
	if got := l.now(0).header(); got != `{"boot":"b","sequence":0,"dropped":0,"failed":0}` {
		t.Error(got)
	}
	l.fail(refused, 2)
	back := account{}
	if text := l.now(3).header(); json.Unmarshal([]byte(text), &back) != nil || strings.Contains(text, "\n") || back.FailedBy[refused] != 2 {
		t.Error(text)
	}
}
