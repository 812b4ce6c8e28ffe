package overload_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/slipway-paas/slipway/internal/h1"
	"github.com/slipway-paas/slipway/internal/overload"
	"github.com/slipway-paas/slipway/internal/platform"
)

var key = overload.Key{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}

func visit(t testing.TB, method, path string, headers ...string) *overload.Visit {
	t.Helper()
	text := method + " " + path + " HTTP/1.1\r\nHost: a\r\n" + strings.Join(headers, "\r\n")
	if len(headers) > 0 {
		text += "\r\n"
	}
	head := &h1.Request{}
	if n, err := head.Parse([]byte(text+"\r\n"), h1.Limits{Head: 8192, Target: 4096, Fields: 50}); n == 0 || err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return &overload.Visit{Head: head, Path: path, Client: netip.MustParseAddr("192.0.2.1"), Unix: 1_800_000_000}
}

func levelsOf(wish platform.Overload) *overload.Levels {
	return overload.LevelsAfter(nil, "app", key, wish)
}

func TestWithoutRulesWhatNobodyWaitsForIsBackground(t *testing.T) {
	levels := levelsOf(platform.Overload{})
	for header, want := range map[string]overload.Class{
		"Accept: */*": overload.Normal,
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0":             overload.Normal,
		"User-Agent: Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)": overload.Background,
		"User-Agent: Baiduspider":         overload.Background,
		"Sec-Purpose: prefetch":           overload.Background,
		"Sec-Purpose: prefetch;prerender": overload.Background,
		"purpose: prefetch":               overload.Background,
		"X-Envoy-Attempt-Count: 1":        overload.Normal,
		"X-Envoy-Attempt-Count: 2":        overload.Bulk,
		"X-Request-Level: 0":              overload.Normal, // clients choose no level
	} {
		if got := levels.Level(visit(t, "GET", "/", header)).Class(); got != want {
			t.Errorf("%s is %v, want %v", header, got, want)
		}
	}
}

func TestTheFirstRuleThatMatchesGivesTheClass(t *testing.T) {
	levels := levelsOf(platform.Overload{Classes: []platform.OverloadClass{
		{Class: "critical", Method: "POST", Path: "/pay"},
		{Class: "bulk", Path: "/pay"},
		{Class: "critical", Header: "X-Plan", Value: "gold"},
		{Class: "bulk", Header: "X-Batch", Value: "*"},
		{Class: "background", Process: "reports"},
	}})
	reports := visit(t, "GET", "/r")
	reports.Process = "reports"
	for i, c := range []struct {
		visit *overload.Visit
		want  overload.Class
	}{
		{visit(t, "POST", "/pay/now"), overload.Critical},
		{visit(t, "GET", "/pay/now"), overload.Bulk},
		{visit(t, "GET", "/", "x-plan: gold"), overload.Critical},
		{visit(t, "GET", "/", "X-Plan: iron"), overload.Normal},
		{visit(t, "GET", "/", "X-Batch: anything"), overload.Bulk},
		{reports, overload.Background},
	} {
		if got := levels.Level(c.visit).Class(); got != c.want {
			t.Errorf("visit %d is %v, want %v", i, got, c.want)
		}
	}
}

func TestAUserKeepsItsLevelForAnHourAndGetsAnotherThen(t *testing.T) {
	levels := levelsOf(platform.Overload{User: "cookie:session"})
	at := func(unix int64, cookie string) overload.Level {
		v := visit(t, "GET", "/", "Cookie: a=b; session="+cookie+"; c=d")
		v.Unix = unix
		return levels.Level(v)
	}
	const begin = 1_800_000_000
	changes := 0
	for minute := int64(1); minute <= 600; minute++ {
		if at(begin+60*minute, "ann") != at(begin+60*(minute-1), "ann") {
			changes++
		}
	}
	if changes < 8 || changes > 10 {
		t.Errorf("in ten hours the level changed %d times", changes)
	}
	different := map[overload.Level]bool{}
	for user := range 1000 {
		different[at(begin, strings.Repeat("x", user%50)+string(rune('a'+user%26)))] = true
	}
	if len(different) < 100 {
		t.Errorf("the users have %d levels", len(different))
	}
}

func TestRoutersWithOneKeyAgreeAndOthersDoNot(t *testing.T) {
	one, two := levelsOf(platform.Overload{}), levelsOf(platform.Overload{})
	other := overload.LevelsAfter(nil, "app", overload.Key{9}, platform.Overload{})
	same := 0
	for i := range 100 {
		v := visit(t, "GET", "/", "Authorization: Bearer "+strings.Repeat("t", i))
		if one.Level(v) != two.Level(v) {
			t.Fatal("two routers with one key have different levels for a user")
		}
		if one.Level(v) == other.Level(v) {
			same++
		}
	}
	if same > 10 {
		t.Errorf("a router with another key has the same level for %d of 100 users", same)
	}
}

func TestWhoSendsNothingIsKnownByItsNetwork(t *testing.T) {
	levels := levelsOf(platform.Overload{User: "cookie:session"})
	from := func(client string) overload.Level {
		v := visit(t, "GET", "/")
		v.Client = netip.MustParseAddr(client)
		return levels.Level(v)
	}
	if from("2001:db8::1") != from("2001:db8::ffff:1") {
		t.Error("two addresses of one /64 are two users")
	}
	if from("192.0.2.1") != from("::ffff:192.0.2.1") {
		t.Error("an IPv4 address written as IPv6 is another user")
	}
	if from("192.0.2.1") == from("192.0.2.2") && from("192.0.2.3") == from("192.0.2.4") {
		t.Error("neighbours are one user")
	}
}

func TestRulesThatCannotBeUsedAreNamedAndTheOthersHold(t *testing.T) {
	levels := levelsOf(platform.Overload{User: "shoe size", Classes: []platform.OverloadClass{
		{Class: "urgent"}, {Class: "critical", Path: "/pay"},
	}})
	if n := len(levels.Complaints()); n != 2 {
		t.Errorf("complaints: %q", levels.Complaints())
	}
	if got := levels.Level(visit(t, "GET", "/pay")).Class(); got != overload.Critical {
		t.Errorf("/pay is %v", got)
	}
}

func TestWhatDidNotChangeIsNotMadeAgain(t *testing.T) {
	wish := platform.Overload{Classes: []platform.OverloadClass{{Class: "critical", Path: "/pay"}}}
	levels := levelsOf(wish)
	if overload.LevelsAfter(levels, "app", key, wish) != levels {
		t.Error("the same wish made other levels")
	}
	wish.Classes = []platform.OverloadClass{{Class: "bulk", Path: "/pay"}}
	if overload.LevelsAfter(levels, "app", key, wish) == levels {
		t.Error("another wish made the same levels")
	}
}

func TestALevelIsReadAsAppsWriteIt(t *testing.T) {
	for text, want := range map[string]overload.Level{"0": 0, "127": 127, "511": overload.Lowest} {
		if got, ok := overload.ParseLevel([]byte(text)); !ok || got != want {
			t.Errorf("%q: %v %v", text, got, ok)
		}
	}
	for _, text := range []string{"", "512", "-1", "1.5", "0x1", "9999", "1 "} {
		if got, ok := overload.ParseLevel([]byte(text)); ok {
			t.Errorf("%q was read as %v", text, got)
		}
	}
}

func BenchmarkLevelOfABrowsersRequest(b *testing.B) {
	levels := levelsOf(platform.Overload{User: "cookie:session"})
	v := visit(b, "GET", "/some/path", "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "Accept-Language: en-US,en;q=0.5",
		"Accept-Encoding: gzip, deflate, br, zstd", "Cookie: theme=dark; session=abcdef0123456789", "Sec-Fetch-Mode: navigate")
	b.ReportAllocs()
	for b.Loop() {
		levels.Level(v)
	}
}
