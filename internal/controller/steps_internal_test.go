package controller

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

func TestAStrategyIsTheseSteps(t *testing.T) {
	web := func(release, quantity int) []platform.Group {
		return []platform.Group{{Release: release, Process: "web", Quantity: quantity}, {Release: release, Process: "worker", Quantity: 4}}
	}
	for words, want := range map[string]string{
		"strategy=instant":                                    "",
		"strategy=staged steps=1%,50% pause=1m":               "1 % of requests [100] for 1m0s; 50 % of requests [5000] for 1m0s",
		"strategy=staged steps=50% min-requests=9":            "50 % of requests [5000] for 9 requests",
		"strategy=count pause=1m":                             "1 of 3 instances [2500] for 1m0s",
		"strategy=count count=9 pause=1m":                     "3 of 3 instances [5000] for 1m0s",
		"strategy=canary header=A:1 weight=2%":                "canary [200] until `slipway cutover promote`",
		"strategy=canary header=A:1 pause=1m":                 "canary [0] for 1m0s",
		"strategy=mirrored mirror=5% pause=1m min-requests=3": "copies of 5 % of safe requests [0] for 1m0s and 3 requests",
	} {
		var s platform.Strategy
		for word := range strings.FieldsSeq(words) {
			key, text, _ := strings.Cut(word, "=")
			if err := s.Set(key, text); err != nil {
				t.Fatal(err)
			}
		}
		var got []string
		for i, step := range stagesOf(s.WithDefaults(), 1, web(1, 3), web(2, 3)) {
			if step.shift.Step != i+1 || step.shift.From != 1 {
				t.Errorf("%s: step %d is %+v", words, i, step.shift)
			}
			got = append(got, step.name+" ["+strconv.Itoa(step.shift.Weight)+"]"+strings.TrimPrefix(step.waitText(), ","))
		}
		if text := strings.Join(got, "; "); text != want {
			t.Errorf("%s:\n got %s\nwant %s", words, text, want)
		}
	}
}

func TestAStepIsOverWhenItTookLongEnoughAndSawEnough(t *testing.T) {
	seen := func(n int64) platform.CutoverReport {
		return platform.CutoverReport{New: platform.SideCount{Requests: n}}
	}
	step := stage{name: "half", pause: time.Minute, requests: 10, deadline: time.Hour}
	for name, c := range map[string]struct {
		step stage
		took time.Duration
		seen int64
		over bool
		back bool
	}{
		"not long enough":         {step, 59 * time.Second, 100, false, false},
		"not enough":              {step, 2 * time.Minute, 9, false, false},
		"both":                    {step, time.Minute, 10, true, false},
		"enough at last":          {step, 2 * time.Hour, 10, true, false},
		"never enough":            {step, time.Hour, 9, false, true},
		"somebody's word":         {stage{word: true, requests: 10, deadline: time.Hour}, 9 * time.Hour, 0, false, false},
		"copies are not requests": {stage{copies: true, requests: 10, deadline: time.Hour}, time.Minute, 100, false, false},
	} {
		over, err := c.step.over(c.took, seen(c.seen))
		if over != c.over || (err != nil) != c.back {
			t.Errorf("%s: %v, %v", name, over, err)
		}
	}
}

func TestWhatWasTooFewToJudgeIsSaid(t *testing.T) {
	b := (&Controller{options: Options{}.withDefaults()}).budgetOf(platform.Strategy{})
	for n, want := range map[int64]string{
		0:  "no requests came to v2, nothing was judged",
		2:  "only 2 requests came to v2: too few to judge failures (from 3 on) and latency (from 20)",
		19: "only 19 requests came to v2: too few to judge its latency (from 20 on)",
		20: "",
	} {
		r := platform.CutoverReport{From: 1, To: 2, New: platform.SideCount{Requests: n}}
		if got := b.Unjudged(r); got != want {
			t.Errorf("%d requests: %q", n, got)
		}
		if n > 0 { // the same of copies, of which clients have none
			r.New, r.Mirror = platform.SideCount{}, platform.MirrorCount{Compared: n}
			if got, want := b.Unjudged(r), strings.Replace(want, "requests came to v2", "copies were compared", 1); got != want {
				t.Errorf("%d copies: %q", n, got)
			}
		}
	}
	if got := b.Unjudged(platform.CutoverReport{To: 2}); got != "" {
		t.Errorf("of a first deploy: %q", got)
	}
}

func TestBothReleasesAreHeldAgainstEachOtherOverTheSameTime(t *testing.T) {
	b := (&Controller{options: Options{}.withDefaults()}).budgetOf(platform.Strategy{})
	side := func(requests, failed int64, p99 time.Duration) platform.SideCount {
		return platform.SideCount{Requests: requests, Failed: failed, P99: p99}
	}
	shifting := func(edit func(*platform.CutoverReport)) platform.CutoverReport {
		r := platform.CutoverReport{From: 1, To: 2, Shifting: true, Step: 1, BeforeRequests: 1000, P99Before: time.Millisecond}
		edit(&r)
		return r
	}
	for name, c := range map[string]struct {
		report platform.CutoverReport
		why    string
	}{
		"nothing is wrong": {shifting(func(r *platform.CutoverReport) { r.Old, r.New = side(100, 1, 1), side(100, 1, 1) }), ""},
		"it fails more":    {shifting(func(r *platform.CutoverReport) { r.Old, r.New = side(100, 0, 1), side(10, 3, 1) }), "3 of 10 requests failed on v2, 0.0 % on v1"},
		"both fail alike":  {shifting(func(r *platform.CutoverReport) { r.Old, r.New = side(100, 50, 1), side(10, 5, 1) }), ""},
		"the old one has too few to be compared": {
			shifting(func(r *platform.CutoverReport) { r.Old, r.New = side(2, 2, 1), side(10, 3, 1) }), "0.0 % before",
		},
		"both are slow now": {shifting(func(r *platform.CutoverReport) {
			r.Old, r.New = side(100, 0, 5*time.Second), side(100, 0, 6*time.Second)
		}), ""},
		"it is slower": {shifting(func(r *platform.CutoverReport) {
			r.Old, r.New = side(100, 0, time.Second), side(100, 0, 4*time.Second)
		}), "p99 rose from 1s on v1 to 4s on v2 (budget: 2s more)"},
		"it was good for long, and is not now": {shifting(func(r *platform.CutoverReport) {
			r.Old, r.New = side(100_000, 0, 1), side(100_000, 40, 1)
			r.OldLately, r.NewLately = side(100, 0, 1), side(100, 40, 1)
		}), "40 of 100 requests failed on v2, 0.0 % on v1 (budget: 5 % more) lately"},
		"one was slow lately": {shifting(func(r *platform.CutoverReport) {
			r.Old, r.New = side(1000, 0, 1), side(1000, 0, 1)
			r.OldLately, r.NewLately = side(30, 0, 1), side(30, 0, 9*time.Second)
		}), ""},
		"copies fare otherwise": {
			shifting(func(r *platform.CutoverReport) { r.Mirror = platform.MirrorCount{Compared: 50, Status: 5, Failed: 4} }),
			"5 of 50 copied requests had another status on v2, 4 of them failed",
		},
		"copies are slow": {shifting(func(r *platform.CutoverReport) {
			r.Mirror = platform.MirrorCount{Compared: 50, P99Old: time.Second, P99New: 4 * time.Second}
		}), "p99 of copied requests is 4s on v2"},
		"copies differ in length, as they may": {shifting(func(r *platform.CutoverReport) { r.Mirror = platform.MirrorCount{Compared: 50, Size: 50} }), ""},
		"no copy got through":                  {shifting(func(r *platform.CutoverReport) { r.Mirror = platform.MirrorCount{Dropped: 20} }), "none of 20 copies"},
		"as many as there may be are under way": {
			shifting(func(r *platform.CutoverReport) { r.Mirror = platform.MirrorCount{Dropped: 60, Crowded: 41} }), "",
		},
	} {
		if got := b.Broken(c.report); (got == "") != (c.why == "") || !strings.Contains(got, c.why) {
			t.Errorf("%s: %q, want %q", name, got, c.why)
		}
	}
	own := (&Controller{options: Options{}.withDefaults()}).budgetOf(platform.Strategy{SizeBudget: new(int), LatencyBudget: time.Millisecond})
	if own.Broken(shifting(func(r *platform.CutoverReport) { r.Mirror = platform.MirrorCount{Compared: 50, Size: 3} })) == "" {
		t.Error("a size budget of none was not broken by three")
	}
}

func TestACutoverOfAnAppThatIsAskedAllTheTimeAwaitsItsFirstRequests(t *testing.T) {
	c := &Controller{options: Options{}.withDefaults()}
	b := c.budgetOf(platform.Strategy{})
	came := platform.CutoverReport{BeforeRequests: 3, Requests: 3, ToRequests: 3}
	for name, look := range map[string]struct {
		report platform.CutoverReport
		since  time.Duration
		want   bool
	}{
		"nobody asks":            {platform.CutoverReport{}, 0, true},
		"somebody did":           {platform.CutoverReport{BeforeRequests: 1}, 0, false},
		"somebody did, for long": {platform.CutoverReport{BeforeRequests: 1}, time.Second, true},
		"some came":              {came, 999 * time.Millisecond, false},
		"some came, for long":    {came, time.Second, true},
		"many did, and none":     {platform.CutoverReport{BeforeRequests: 600}, 9 * time.Second, false},
		"many did, and some":     {platform.CutoverReport{BeforeRequests: 600, New: platform.SideCount{Requests: 3}}, time.Second, true},
		"many did, of old nodes": {platform.CutoverReport{BeforeRequests: 600, ToRequests: 3}, time.Second, true},
	} {
		if got := c.watched(b, look.report, look.since); got != look.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
