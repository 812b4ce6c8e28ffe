package router

import (
	"errors"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
)

func bodyOf(text string, again bool) *body {
	return newBody(httptest.NewRequest("PUT", "/", strings.NewReader(text)), again)
}

func TestABodyIsReadFromItsStartByEachAttempt(t *testing.T) {
	text := strings.Repeat("0123456789", 5000)
	b := bodyOf(text, true)
	for _, much := range []int{0, 1, 40000, len(text), 10} {
		got := make([]byte, much)
		if _, err := io.ReadFull(b.attempt(), got); err != nil || string(got) != text[:much] {
			t.Errorf("%d bytes: %v", much, err)
		}
		if !b.replayable() {
			t.Errorf("not replayable after %d bytes", much)
		}
	}
	if got, err := io.ReadAll(b.attempt()); err != nil || string(got) != text {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
}

func TestALongBodyIsReadOnce(t *testing.T) {
	text := strings.Repeat("x", replayLimit+1)
	b := bodyOf(text, true)
	if got, err := io.ReadAll(b.attempt()); err != nil || string(got) != text {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	if b.replayable() {
		t.Error("replayable")
	}
	if _, err := io.ReadAll(b.attempt()); !errors.Is(err, errBodyGone) {
		t.Errorf("second time: %v", err)
	}
}

func TestABodyThatMayNotBeSentAgainIsReadOnce(t *testing.T) {
	b := bodyOf("text", false)
	if !b.replayable() {
		t.Error("not replayable though nothing was read")
	}
	if got, err := io.ReadAll(b.attempt()); err != nil || string(got) != "text" {
		t.Errorf("got %q, %v", got, err)
	}
	if b.replayable() {
		t.Error("replayable")
	}
}

func TestABodyThatBreaksOffIsTheClientsDoing(t *testing.T) {
	b := newBody(httptest.NewRequest("PUT", "/", iotest.ErrReader(io.ErrUnexpectedEOF)), true)
	for range 2 {
		if _, err := io.ReadAll(b.attempt()); !errors.Is(err, errClient) {
			t.Errorf("got %v", err)
		}
	}
	if b.replayable() {
		t.Error("replayable")
	}
}
