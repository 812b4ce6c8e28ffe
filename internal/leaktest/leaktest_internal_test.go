package leaktest

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestWhatIsAboutToEndIsNoLeakAndWhatStaysIsOne(t *testing.T) {
	before := goleak.IgnoreCurrent()
	go time.Sleep(2 * time.Second) // longer than goleak waits
	None(t, before)

	end := make(chan struct{})
	go func() { <-end }()
	settle(time.Nanosecond, before)
	if goleak.Find(before) == nil {
		t.Error("a goroutine that stays was not found")
	}
	close(end)
	None(t, before)
}
