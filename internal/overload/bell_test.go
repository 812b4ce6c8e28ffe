package overload_test

import (
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/overload"
)

func TestABellTellsTheMeanOfTheWaits(t *testing.T) {
	var b overload.Bell
	if lag := b.Lag(time.Hour); lag != 0 {
		t.Errorf("nobody rang, and it is late by %v", lag)
	}
	for i := range time.Duration(3) {
		b.Ring(10 * i * time.Millisecond)
		b.Ring(10*i*time.Millisecond + 1) // it rings already
		b.Heard(11*i*time.Millisecond + 2*time.Millisecond)
	}
	if lag := b.Lag(time.Hour); lag.Round(time.Microsecond) != 3*time.Millisecond {
		t.Errorf("of waits of 2, 3 and 4 ms the mean is %v", lag)
	}
	if lag := b.Lag(time.Hour); lag != 0 {
		t.Errorf("nobody rang since, and it is late by %v", lag)
	}
}

func TestABellThatNobodyHearsIsLaterAndLater(t *testing.T) {
	var b overload.Bell
	b.Ring(time.Second)
	b.Heard(time.Second + 50*time.Millisecond)
	b.Ring(2 * time.Second)
	for range 2 { // what is known goes on
		if lag := b.Lag(2010 * time.Millisecond); lag != 50*time.Millisecond {
			t.Errorf("10 ms after it rang: %v", lag)
		}
	}
	if lag := b.Lag(2100 * time.Millisecond); lag != 100*time.Millisecond {
		t.Errorf("100 ms after it rang: %v", lag)
	}
	b.Ring(2200 * time.Millisecond)
	if lag := b.Lag(2300 * time.Millisecond); lag != 300*time.Millisecond {
		t.Errorf("300 ms after it rang: %v", lag)
	}
}
