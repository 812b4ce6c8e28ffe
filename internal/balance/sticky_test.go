package balance_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/balance"
	"github.com/slipway-paas/slipway/internal/platform"
)

func TestATokenLeadsToItsHostOnEveryRouterAndTellsNothing(t *testing.T) {
	sticky := platform.Balance{Sticky: balance.StickyCookie}
	one := balance.After(nil, hosts(5), sticky, []byte("key"), nil)
	other := balance.After(nil, hosts(5)[2:], sticky, []byte("key"), nil)
	for i := range 5 {
		token := one.Token(i)
		if one.Named([]byte(token)) != i {
			t.Errorf("the token of %d names %d", i, one.Named([]byte(token)))
		}
		if got := other.Named([]byte(token)); got != i-2 && (i >= 2 || got != -1) {
			t.Errorf("elsewhere the token of %d names %d", i, got)
		}
		if strings.Contains(token, "i") && strings.Contains(token, fmt.Sprint("i", i)+".") {
			t.Errorf("the token %q shows the instance", token)
		}
	}
}

func TestATokenThatWasNotSignedHereNamesNobody(t *testing.T) {
	sticky := platform.Balance{Sticky: balance.StickyCookie}
	b := balance.After(nil, hosts(3), sticky, []byte("key"), nil)
	forged := balance.After(nil, hosts(3), sticky, []byte("another key"), nil)
	changed := []byte(b.Token(1))
	changed[20] ^= 1
	for _, token := range []string{forged.Token(1), string(changed), "", "x", b.Token(1) + "A"} {
		if got := b.Named([]byte(token)); got != -1 {
			t.Errorf("%q names %d", token, got)
		}
	}
}

func TestAClientMovesOnlyWhenItsHostLeaves(t *testing.T) {
	five := hosts(5)
	b := balance.After(nil, five, platform.Balance{Sticky: balance.StickyClient}, nil, nil)
	four := balance.After(b, five[:4:4], platform.Balance{Sticky: balance.StickyClient}, nil, nil)
	got := make([]int, 5)
	for k := range 1000 {
		client := fmt.Sprint("10.0.0.", k)
		was, is := b.Nearest(0, client, all), four.Nearest(0, client, all)
		got[was]++
		if was != 4 && was != is {
			t.Fatalf("%s moved from %d to %d", client, was, is)
		}
		if drained := b.Nearest(0, client, func(i int) bool { return i != was }); drained == was {
			t.Fatalf("%s stays with one that may not serve", client)
		}
	}
	for i, n := range got {
		if n < 140 || n > 260 {
			t.Errorf("host %d has %d of 1000 clients", i, n)
		}
	}
}

func TestNobodyStaysWithAHostThatIsEjected(t *testing.T) {
	b := balance.After(nil, hosts(3), platform.Balance{Sticky: balance.StickyCookie}, []byte("key"), nil)
	end(t, b, 1, 5, 0, balance.Failed)
	if _, why := b.Take(1, time.Second, all); why != balance.Nobody {
		t.Errorf("got %v", why)
	}
	if e, why := b.Take(0, time.Second, all); why != balance.Picked || e.Host() != b.Hosts()[0] {
		t.Errorf("got %v", why)
	}
	if _, why := b.Take(0, time.Second, func(int) bool { return false }); why != balance.Nobody {
		t.Errorf("got %v of one that may not serve", why)
	}
}
