package gitserver_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slipway-paas/slipway/internal/gitserver"
)

func TestOutboxDeliversInOrder(t *testing.T) {
	t.Parallel()
	var got bytes.Buffer
	box := gitserver.NewOutbox(&got, 0, nil)
	var want strings.Builder
	for range 1000 {
		io.WriteString(box, "a line of output\n")
		want.WriteString("a line of output\n")
	}
	box.Close("", time.Minute)
	if got.String() != want.String() {
		t.Errorf("got %d bytes, want %d", got.Len(), want.Len())
	}
}

func TestOutputForAStoppedReaderIsDroppedAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		from, to := io.Pipe()
		box := gitserver.NewOutbox(to, 0, func() { to.Close() })
		began := time.Now()
		piece := bytes.Repeat([]byte("x"), 64<<10)
		for range 4 * gitserver.OutboxSize / len(piece) {
			box.Write(piece)
		}
		if waited := time.Since(began); waited != 0 {
			t.Errorf("writing waited %s", waited)
		}
		synctest.Wait()
		all := make(chan string)
		go func() {
			text, _ := io.ReadAll(from)
			all <- string(text)
		}()
		synctest.Wait() // the reader has caught up
		box.Close("the end\n", time.Second)
		to.Close()
		text := <-all
		if len(text) > 3*gitserver.OutboxSize || !strings.Contains(text, "are not shown") || !strings.HasSuffix(text, "the end\n") {
			t.Errorf("%d bytes, ending in %q", len(text), text[max(0, len(text)-100):])
		}
	})
}

func TestLastWordsStandOnTheirOwnLineEvenWhenAllIsFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		from, to := io.Pipe()
		box := gitserver.NewOutbox(to, 0, func() { to.Close() })
		piece := bytes.Repeat([]byte("x"), 64<<10)
		for range 4 * gitserver.OutboxSize / len(piece) {
			box.Write(piece)
		}
		all := make(chan string)
		go func() {
			text, _ := io.ReadAll(from)
			all <- string(text)
		}()
		box.Close("no Procfile\n", time.Second)
		to.Close()
		if text := <-all; !strings.HasSuffix(text, "are not shown: the connection is too slow]\nno Procfile\n") {
			t.Errorf("ends in %q", text[max(0, len(text)-100):])
		}
	})
}

func TestReaderThatStaysAwayIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		from, to := io.Pipe()
		box := gitserver.NewOutbox(to, 30*time.Second, func() { to.CloseWithError(errors.New("hung up")) })
		began := time.Now()
		piece := bytes.Repeat([]byte("x"), 64<<10)
		for range 10 * gitserver.OutboxSize / len(piece) {
			box.Write(piece)
		}
		if waited := time.Since(began); waited != 30*time.Second {
			t.Errorf("writing waited %s", waited)
		}
		box.Close("", time.Hour)
		if waited := time.Since(began); waited != 30*time.Second {
			t.Errorf("closing waited until %s", waited)
		}
		if _, err := from.Read(piece); err == nil || err.Error() != "hung up" {
			t.Errorf("the reader was told %v", err)
		}
	})
}

func TestClosingWaitsForASlowReaderOnlySoLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, to := io.Pipe()
		box := gitserver.NewOutbox(to, 0, func() { to.Close() })
		io.WriteString(box, "nobody reads this\n")
		began := time.Now()
		box.Close("", 5*time.Second)
		if waited := time.Since(began); waited != 5*time.Second {
			t.Errorf("closing waited %s", waited)
		}
	})
}
