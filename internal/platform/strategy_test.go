package platform_test

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

func TestAStrategyIsReadAndShownInTheSameWords(t *testing.T) {
	for key, texts := range map[string][]string{
		"strategy": {"instant", "staged", "count", "canary", "mirrored"}, "steps": {"1%", "0.5%,10%,50%"},
		"count": {"3"}, "weight": {"5%"}, "header": {"X-Canary:yes", "A:1,B:*"}, "cookie": {"beta:*"}, "mirror": {"100%"},
		"by": {"request", "client"}, "sticky": {"session"}, "pause": {"1m0s", "250ms"}, "min-requests": {"100"}, "deadline": {"1h0m0s"},
		"error-budget": {"0%", "1.5%"}, "latency-budget": {"250ms"}, "size-budget": {"0%"},
	} {
		for _, text := range texts {
			var s platform.Strategy
			if err := s.Set(key, text); err != nil || s.Words()[key] != text || len(s.Words()) != 1 {
				t.Errorf("%s=%s: %v, %v", key, text, s.Words(), err)
			}
			if err := s.Set(key, ""); err != nil || len(s.Words()) != 0 {
				t.Errorf("%s= leaves %v, %v", key, s.Words(), err)
			}
		}
	}
}

func TestEveryWordOfAStrategyIsListed(t *testing.T) {
	for _, key := range platform.StrategyKeys {
		if err := new(platform.Strategy).Set(key, ""); err != nil {
			t.Error(err)
		}
	}
	if err := new(platform.Strategy).Set("setps", "1%"); !errors.Is(err, platform.ErrInvalid) || !strings.Contains(err.Error(), "min-requests") {
		t.Errorf("got %v", err)
	}
}

func TestAStrategyThatMakesNoSenseIsRefused(t *testing.T) {
	for _, word := range []string{
		"strategy=blue", "steps=50%,5%", "steps=5%,5%", "steps=0%", "steps=101%", "steps=NaN", "steps=x", "count=-1", "count=1000000000", "weight=-1%",
		"header=:x", "header=a b:x", "cookie=a;b:1", "by=user", "sticky=a b", "pause=1", "pause=-1s", "pause=100000h", "min-requests=-1", "error-budget=200%",
		"steps=" + strings.Repeat("1%,", 3), "header=" + strings.Repeat("a:b,", 11),
	} {
		key, text, _ := strings.Cut(word, "=")
		var s platform.Strategy
		if err := s.Set(key, text); !errors.Is(err, platform.ErrInvalid) {
			t.Errorf("%s was taken: %v", word, s.Words())
		}
	}
	if err := (platform.Strategy{Kind: platform.Canary}).Valid(); err == nil {
		t.Error("a canary that nobody comes to was taken")
	}
	if err := (platform.Strategy{Kind: platform.Staged, MinRequests: 1, Pause: time.Hour, Deadline: time.Minute}).Valid(); err == nil {
		t.Error("a deadline before the pause's end was taken")
	}
}

func TestAStrategyHasWhatItNeeds(t *testing.T) {
	for _, kind := range []platform.StrategyKind{"", platform.Instant, platform.Staged, platform.Count, platform.Canary, platform.Mirrored} {
		s := platform.Strategy{Kind: kind, If: []platform.Condition{{Header: "A", Value: "*"}}}.WithDefaults()
		if err := s.Valid(); err != nil || s.Kind == "" || s.Deadline == 0 {
			t.Errorf("%q: %+v, %v", kind, s, err)
		}
		if waits := s.Pause > 0; waits != (kind == platform.Staged || kind == platform.Count || kind == platform.Mirrored) {
			t.Errorf("%q waits for %s", kind, s.Pause)
		}
	}
	if words := (platform.Strategy{}).Words(); !maps.Equal(words, map[string]string{}) {
		t.Errorf("nothing was said, and it is %v", words)
	}
}
