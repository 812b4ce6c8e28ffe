package controller

import (
	"strings"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

func TestACutoverIsUndoneByFailuresAndByLatencyButNotByChance(t *testing.T) {
	b := (&Controller{options: Options{}.withDefaults()}).budgetOf(platform.Strategy{})
	for name, test := range map[string]struct {
		report platform.CutoverReport
		undone bool
	}{
		"nothing failed":                       {platform.CutoverReport{From: 1, ToRequests: 1000}, false},
		"two failures are chance":              {platform.CutoverReport{From: 1, ToRequests: 3, ToFailed: 2}, false},
		"most of few failed":                   {platform.CutoverReport{From: 1, ToRequests: 4, ToFailed: 3}, true},
		"within the budget":                    {platform.CutoverReport{From: 1, ToRequests: 1000, ToFailed: 50}, false},
		"beyond the budget":                    {platform.CutoverReport{From: 1, ToRequests: 1000, ToFailed: 51}, true},
		"the old release failed as much":       {platform.CutoverReport{From: 1, ToRequests: 100, ToFailed: 40, BeforeRequests: 100, BeforeFailed: 40}, false},
		"a first deploy has nothing to go to":  {platform.CutoverReport{From: 0, ToRequests: 100, ToFailed: 100}, false},
		"slower than the budget":               {platform.CutoverReport{From: 1, ToRequests: 100, P99Before: time.Millisecond, P99After: 3 * time.Second}, true},
		"slower, but seen too rarely to judge": {platform.CutoverReport{From: 1, ToRequests: 5, P99Before: time.Millisecond, P99After: 3 * time.Second}, false},
	} {
		if reason := b.Broken(test.report); (reason != "") != test.undone {
			t.Errorf("%s: %q", name, reason)
		}
	}
}

func TestAReleaseIsReadyWhenEveryWishedInstanceIsUp(t *testing.T) {
	groups := []platform.Group{{Release: 2, Process: "web", Quantity: 2}}
	up := func(release int) platform.Instance {
		return platform.Instance{Release: release, Process: "web", State: platform.InstanceUp}
	}
	for name, test := range map[string]struct {
		instances     []platform.Instance
		pending, fail bool
	}{
		"none yet":                      {nil, true, false},
		"one of two":                    {[]platform.Instance{up(2)}, true, false},
		"two, but one of the old":       {[]platform.Instance{up(2), up(1)}, true, false},
		"both":                          {[]platform.Instance{up(2), up(2)}, false, false},
		"one crashes again and again":   {[]platform.Instance{up(2), {Release: 2, Process: "web", CrashLoop: true}}, false, true},
		"an old one crashes: no matter": {[]platform.Instance{up(2), up(2), {Release: 1, Process: "web", CrashLoop: true}}, false, false},
	} {
		pending, err := readiness(groups, test.instances)
		if (pending != nil) != test.pending || (err != nil) != test.fail {
			t.Errorf("%s: pending %v, err %v", name, pending, err)
		}
	}
}

func TestADomainHasOneFormHoweverItIsWritten(t *testing.T) {
	c := &Controller{options: Options{Domain: "example.com"}.withDefaults()}
	for given, want := range map[string]string{
		"www.shop.org": "www.shop.org", "WWW.Shop.ORG.": "www.shop.org", "*.shop.org": "*.shop.org",
		"домена.ru": "xn--80ahd1agd.ru", "blog": "blog", "blog.example.com": "blog", "a.b.example.com": "a.b.example.com",
	} {
		if got, err := c.normalDomain(given); err != nil || got != want {
			t.Errorf("normalDomain(%q) = %q, %v; want %q", given, got, err, want)
		}
	}
	for _, given := range []string{"", ".", "*", "10.0.0.1", "a..b", "a_b.org", "a.*.org", "-a.org", "a b.org", "a\x00.org", strings.Repeat("a.", 200) + "org", "http://a.org", "a.org/x", "[::1]"} {
		if got, err := c.normalDomain(given); err == nil {
			t.Errorf("normalDomain(%q) = %q, want an error", given, got)
		}
	}
}

func FuzzADomainThatIsAcceptedIsStable(f *testing.F) {
	c := &Controller{options: Options{}.withDefaults()}
	for _, seed := range []string{"www.example.com", "*.x.y", "домена.ru", "a.localhost", "."} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, given string) {
		once, err := c.normalDomain(given)
		if err != nil {
			return
		}
		if twice, err := c.normalDomain(once); err != nil || twice != once {
			t.Errorf("%q became %q, then %q, %v", given, once, twice, err)
		}
	})
}

func TestAConfigPatchSetsRemovesAndRefusesWhatIsNotThere(t *testing.T) {
	one := "1"
	config := platform.Config{Values: map[string]string{"A": "0", "B": "0"}, Memory: map[string]string{"web": "64M"}}
	got, err := merged(config, ConfigPatch{Values: map[string]*string{"A": &one, "B": nil, "C": &one}})
	if err != nil || got.Values["A"] != "1" || got.Values["C"] != "1" || len(got.Values) != 2 || got.Memory["web"] != "64M" {
		t.Errorf("got %+v, %v", got, err)
	}
	if config.Values["A"] != "0" {
		t.Error("the config that was patched changed")
	}
	if got := changes("bob", config, got); got != "bob added C, changed A, deleted B" {
		t.Errorf("summary %q", got)
	}
	if _, err := merged(config, ConfigPatch{Memory: map[string]*string{"worker": nil}}); err == nil || err.Error() != "worker does not exist under memory" {
		t.Errorf("removing what is not there: %v", err)
	}
}

func TestAProcessSeesTheAppsConfigOverThePlatforms(t *testing.T) {
	env := environment(&deployable{
		release: platform.Release{App: "blog", Version: 3},
		config:  platform.Config{Values: map[string]string{"A": "1", "SOURCE_VERSION": "mine"}},
		build:   platform.Build{SHA: "deadbeef"},
	})
	for key, want := range map[string]string{"DEIS_APP": "blog", "WORKFLOW_RELEASE": "v3", "A": "1", "SOURCE_VERSION": "mine"} {
		if env[key] != want {
			t.Errorf("%s is %q, want %q", key, env[key], want)
		}
	}
}

func TestALineWriterHandsOnWholeLinesAndBoundsEndlessOnes(t *testing.T) {
	var lines []string
	w := newLineWriter(func(line string) { lines = append(lines, line) })
	for _, part := range []string{"one\ntw", "o\r\n", "", "three"} {
		if _, err := w.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	if got := strings.Join(lines, "|"); got != "one|two|three" {
		t.Errorf("got %q", got)
	}
	lines = nil
	for range 3 {
		w.Write([]byte(strings.Repeat("x", maxLine)))
	}
	if len(lines) == 0 {
		t.Error("a line without an end was gathered without a bound")
	}
}
