// Package leaktest fails tests that leave goroutines behind. Those that are
// about to end have the time for it, however busy the machine is: goleak alone
// waits for less than half a second.
package leaktest

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience ends the wait for what does not end.
const patience = 2 * time.Minute

// Main runs all tests of a package and ends the process, which TestMain does last.
func Main(m *testing.M) { goleak.VerifyTestMain(patient{m}) }

// patient are tests that are over once their goroutines are.
type patient struct{ *testing.M }

func (p patient) Run() int {
	code := p.M.Run()
	if code == 0 {
		settle(patience)
	}
	return code
}

// None fails the test when goroutines are left that options do not leave out.
func None(t testing.TB, options ...goleak.Option) {
	t.Helper()
	settle(patience, options...)
	goleak.VerifyNone(t, options...)
}

// settle waits until no goroutines are left, at most so long.
func settle(most time.Duration, options ...goleak.Option) {
	for end := time.Now().Add(most); goleak.Find(options...) != nil && time.Now().Before(end); {
	}
}
