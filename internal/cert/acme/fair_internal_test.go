package acme

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// those are subjects of a tenant, the oldest first.
func those(t *tenant, began time.Time, prefix string, n int, edit func(*subject)) (all []*subject) {
	for i := range n {
		s := &subject{name: fmt.Sprintf("%s%d", prefix, i), tenant: t, at: out, read: true, due: began.Add(time.Duration(i) * time.Second)}
		if edit != nil {
			edit(s)
		}
		all = append(all, s)
	}
	return all
}

func (f *fair) all(all ...[]*subject) {
	for _, s := range slices.Concat(all...) {
		f.add(s)
	}
}

// taken has n turns begin, of which none ends unless ends, and returns whose.
func (f *fair) taken(now time.Time, n int, ends bool) (names string) {
	working := 0
	for range n {
		s, _ := f.take(now, maxTurns-working, func(*subject) time.Duration { return 0 })
		if s == nil {
			return names + "."
		}
		names += s.name + " "
		if !ends {
			working++
			s.tenant.working++
		}
	}
	return strings.TrimSpace(names)
}

func TestUsersTakeTurnsHoweverManyNamesOneHas(t *testing.T) {
	now := time.Now()
	eve, bob, ann := &tenant{}, &tenant{}, &tenant{}
	var due fair
	due.all(those(eve, now, "e", 1000, nil), those(bob, now, "b", 3, nil), those(ann, now, "a", 1, nil))
	if got := due.taken(now, 8, true); got != "e0 b0 a0 e1 b1 e2 b2 e3" {
		t.Errorf("turns went to %s", got)
	}
	due.all(those(ann, now, "late", 1, nil))
	if got := due.taken(now, 3, true); got != "e4 late0 e5" {
		t.Errorf("then to %s", got)
	}
}

func TestWhatIsRenewedGoesFirstAndWhatFailedLast(t *testing.T) {
	now := time.Now()
	eve, bob := &tenant{}, &tenant{}
	failed := func(s *subject) { s.failure.Attempts = 3 }
	renewed := func(s *subject) { s.known = &issued{} }
	var due fair
	due.all(those(eve, now.Add(-time.Hour), "failed", 2, failed), those(eve, now, "new", 2, nil), those(eve, now, "old", 2, renewed),
		those(bob, now, "b", 1, nil), those(bob, now, "o", 2, renewed))
	if got := due.taken(now, 9, true); got != "old0 o0 old1 o1 new0 b0 new1 failed0 failed1" {
		t.Errorf("turns went to %s", got)
	}
	if len(due) > 0 || eve.queued || bob.queued {
		t.Errorf("%d are left", len(due))
	}
}

func TestOneUserLeavesTurnsToTheOthers(t *testing.T) {
	now := time.Now()
	eve, bob, ann := &tenant{}, &tenant{}, &tenant{}
	var due fair
	due.all(those(eve, now, "e", 1000, nil))
	if got := strings.Fields(due.taken(now, maxTurns, false)); len(got) != maxTurns/2+1 || got[maxTurns/2] != "." {
		t.Errorf("one alone has the turns %s", got)
	}
	due.all(those(bob, now, "b", 1, nil))
	due.all(those(ann, now, "a", 1, func(s *subject) { s.known = &issued{} }))
	for _, want := range []string{"a0", "b0"} {
		s, _ := due.take(now, maxTurns-eve.working, func(*subject) time.Duration { return 0 })
		if s == nil || s.name != want {
			t.Fatalf("the turn is not %s but %v", want, s)
		}
	}
}

func TestWhoseNamesFailHasTriesAsTheyAreForgiven(t *testing.T) {
	now := time.Now()
	eve, bob := &tenant{}, &tenant{}
	names := those(eve, now, "e", 1000, nil)
	var due fair
	due.all(names)
	try := func() bool {
		s, _ := due.take(now, maxTurns, func(*subject) time.Duration { return 0 })
		return s != nil
	}
	for n := range maxFailures {
		if !try() {
			t.Fatalf("after %d failures there was no try", n)
		}
		eve.settle(now, true)
	}
	if _, pause := due.take(now, maxTurns, func(*subject) time.Duration { return 0 }); try() || pause != forgiveness {
		t.Errorf("after so many there was a try, or one in %s", pause)
	}
	due.all(those(bob, now, "b", 1, nil))
	if got := due.taken(now, 2, true); got != "b0 ." {
		t.Errorf("another's turn was %s", got)
	}
	due.all(those(eve, now, "renewal", 1, func(s *subject) { s.known = &issued{} }))
	if got := due.taken(now, 1, true); got != "renewal0" {
		t.Errorf("in the place of a renewal came %s", got)
	}
	if now = now.Add(forgiveness); !try() {
		t.Error("once one was forgiven there was no try")
	}
	eve.settle(now, true)
	if try() {
		t.Error("there was one more")
	}
	now = now.Add(forgiveness)
	for n := range 50 { // they were mended
		if !try() {
			t.Fatalf("after %d that went well there was none", n)
		}
		eve.settle(now, false)
	}
	if now = now.Add(maxFailures * forgiveness); eve.owed(now) != 0 {
		t.Error("it owes for ever")
	}
}

func TestTriesUnderWayCountAsIfTheyFailed(t *testing.T) {
	now := time.Now()
	eve := &tenant{}
	for range maxFailures - 2 {
		eve.settle(now, true)
	}
	var due fair
	due.all(those(eve, now, "e", 10, nil))
	if got := due.taken(now, 10, false); got != "e0 e1 ." {
		t.Errorf("tried were %s", got)
	}
}

func TestWhatIsTakenBackIsNobodysTurn(t *testing.T) {
	now := time.Now()
	eve, bob := &tenant{}, &tenant{}
	e, b := those(eve, now, "e", 2, nil), those(bob, now, "b", 2, nil)
	var due fair
	due.all(e, b)
	due.drop(e[0])
	due.drop(b[0])
	due.drop(b[1])
	if got := due.taken(now, 3, true); got != "e1 ." || len(due) != 0 {
		t.Errorf("turns went to %s, %d are left", got, len(due))
	}
}
