package overload_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/overload"
	"github.com/slipway-paas/slipway/internal/platform"
)

func ratesOf(t testing.TB, wish ...platform.RateLimit) *overload.Rates {
	t.Helper()
	r := overload.RatesAfter(nil, key, wish)
	if wrong := r.Complaints(); len(wrong) > 0 {
		t.Fatal(wrong)
	}
	return r
}

// admits counts how many of n requests at one time come in.
func admits(r *overload.Rates, now time.Duration, n int, v *overload.Visit) (in int) {
	for range n {
		var held overload.Held
		if why, _ := r.Admit(now, v, &held); why == overload.None {
			in++
		}
		held.Release()
	}
	return in
}

func TestABucketLetsItsBurstInAndThenItsRate(t *testing.T) {
	r := ratesOf(t, platform.RateLimit{By: "client", PerSecond: 10, Burst: 5})
	v := visit(t, "GET", "/")
	if in := admits(r, 0, 20, v); in != 5 {
		t.Errorf("at first %d came in", in)
	}
	if in := admits(r, 300*time.Millisecond, 20, v); in != 3 {
		t.Errorf("after 0.3 s %d came in", in)
	}
	if in := admits(r, time.Hour, 20, v); in != 5 {
		t.Errorf("after an hour %d came in", in)
	}
	other := visit(t, "GET", "/")
	other.Client = netip.MustParseAddr("198.51.100.1")
	if in := admits(r, time.Hour, 20, other); in != 5 {
		t.Errorf("of another client %d came in", in)
	}
}

func TestWhoIsTooFastHearsWhenToComeBack(t *testing.T) {
	r := ratesOf(t, platform.RateLimit{By: "app", PerSecond: 0.1, Burst: 1})
	v, held := visit(t, "GET", "/"), overload.Held{}
	r.Admit(0, v, &held)
	why, retry := r.Admit(0, v, &held)
	if why != overload.TooFast || retry != 10 {
		t.Errorf("%v, after %d s", why, retry)
	}
	if why, _ := r.Admit(10*time.Second, v, &held); why != overload.None {
		t.Errorf("who came back then was refused: %v", why)
	}
}

func TestWhatIsOpenIsBoundedUntilItEnds(t *testing.T) {
	r := ratesOf(t, platform.RateLimit{By: "header:X-Tenant", Concurrent: 2})
	v := visit(t, "GET", "/", "X-Tenant: a")
	var held [3]overload.Held
	for i, want := range []overload.Reason{overload.None, overload.None, overload.TooMany} {
		if why, _ := r.Admit(0, v, &held[i]); why != want {
			t.Fatalf("request %d: %v", i, why)
		}
	}
	if why, _ := r.Admit(0, visit(t, "GET", "/", "X-Tenant: b"), &held[2]); why != overload.None {
		t.Fatalf("another tenant's: %v", why)
	}
	held[0].Release()
	held[0].Release() // again, which is nothing
	if why, _ := r.Admit(0, v, &held[0]); why != overload.None {
		t.Fatalf("after one ended: %v", why)
	}
	var more overload.Held
	if why, _ := r.Admit(0, v, &more); why != overload.TooMany {
		t.Fatalf("one ended, two came in")
	}
}

func TestARequestThatOneRuleRefusesCostsTheOthersNothing(t *testing.T) {
	r := ratesOf(t,
		platform.RateLimit{By: "client", PerSecond: 1, Burst: 3, Concurrent: 1},
		platform.RateLimit{By: "app", PerSecond: 1, Burst: 1, Path: "/login"})
	login, home := visit(t, "POST", "/login"), visit(t, "GET", "/")
	if in := admits(r, 0, 10, login); in != 1 {
		t.Errorf("%d logins came in", in)
	}
	if in := admits(r, 0, 10, home); in != 2 {
		t.Errorf("then %d others came in", in)
	}
}

func TestBucketsSurviveAChangeOfOtherRules(t *testing.T) {
	first := platform.RateLimit{By: "client", PerSecond: 1, Burst: 5}
	r := ratesOf(t, first)
	v := visit(t, "GET", "/")
	admits(r, 0, 4, v)
	r = overload.RatesAfter(r, key, []platform.RateLimit{{By: "app", PerSecond: 1000}, first})
	if in := admits(r, 0, 10, v); in != 1 {
		t.Errorf("after the change %d came in", in)
	}
}

func TestAMillionClientsTakeBoundedMemoryAndTheBusyAreRemembered(t *testing.T) {
	r := ratesOf(t, platform.RateLimit{By: "header:X-Key", PerSecond: 0.001, Burst: 1, Concurrent: 1})
	busy := visit(t, "GET", "/", "X-Key: busy")
	var held overload.Held
	r.Admit(0, busy, &held)
	v := visit(t, "GET", "/", "X-Key: 00000000")
	value := v.Head.Get("x-key")
	allocated := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for i := range b.N {
			copy(value, fmt.Appendf(value[:0], "%08d", i%1_000_000))
			var none overload.Held
			if why, _ := r.Admit(time.Second, v, &none); why == overload.None {
				none.Release()
			}
		}
	})
	if n := allocated.AllocedBytesPerOp(); n > 16 && allocated.N > 500_000 {
		t.Errorf("each new client takes %d bytes", n)
	}
	var again overload.Held
	if why, _ := r.Admit(time.Second, busy, &again); why != overload.TooMany {
		t.Errorf("the client with an open request was forgotten: %v", why)
	}
}

func TestRatesThatCannotBeUsedAreNamed(t *testing.T) {
	for _, wish := range []platform.RateLimit{
		{By: "weather", PerSecond: 1}, {By: "", PerSecond: 1}, {By: "client"}, {By: "cookie:", Concurrent: 1},
	} {
		r := overload.RatesAfter(nil, key, []platform.RateLimit{wish})
		if len(r.Complaints()) != 1 {
			t.Errorf("%+v: %q", wish, r.Complaints())
		}
		if in := admits(r, 0, 100, visit(t, "GET", "/")); in != 100 {
			t.Errorf("%+v: %d of 100 came in", wish, in)
		}
	}
}

func BenchmarkRateOfAKnownClient(b *testing.B) {
	r := ratesOf(b, platform.RateLimit{By: "client", PerSecond: 1e9, Burst: 1000, Concurrent: 10})
	v, now := visit(b, "GET", "/"), time.Duration(0)
	b.ReportAllocs()
	for b.Loop() {
		now += time.Microsecond
		var held overload.Held
		if why, _ := r.Admit(now, v, &held); why != overload.None {
			b.Fatal(why)
		}
		held.Release()
	}
}
