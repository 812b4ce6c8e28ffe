package platform_test

import (
	"strings"
	"testing"

	"github.com/slipway-paas/slipway/internal/platform"
)

func TestAnAppIDIsALowercaseDNSLabel(t *testing.T) {
	for id, ok := range map[string]bool{
		"blog": true, "b": true, "a-1": true, strings.Repeat("a", 63): true,
		"": false, "1a": false, "a-": false, "A": false, "a.b": false, "a_b": false, "ä": false, strings.Repeat("a", 64): false, "a\x00": false,
	} {
		if err := platform.ValidAppID(id); (err == nil) != ok {
			t.Errorf("ValidAppID(%q) = %v", id, err)
		}
	}
}

func TestAMemoryLimitIsTheUpperOfThePairInBinaryUnits(t *testing.T) {
	for text, want := range map[string]int64{
		"64M": 64 << 20, "1g": 1 << 30, "512MB": 512 << 20, "50M/100M": 100 << 20, "0/1K": 1 << 10, "0": 0, "7B": 7,
	} {
		if got, err := platform.ParseMemory(text); err != nil || got != want {
			t.Errorf("ParseMemory(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "64", "M", "-1M", "1M/", "99999999999999999999G", "9999999999G", "1M/2M/3M"} {
		if got, err := platform.ParseMemory(text); err == nil {
			t.Errorf("ParseMemory(%q) = %d, want an error", text, got)
		}
	}
}

func TestACPULimitIsInThousandthsOfACore(t *testing.T) {
	for text, want := range map[string]int64{"1": 1000, "0.5": 500, ".25": 250, "500m": 500, "100m/2": 2000} {
		if got, err := platform.ParseCPU(text); err != nil || got != want {
			t.Errorf("ParseCPU(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "x", "-1", "1/", "1e9", "99999999999"} {
		if got, err := platform.ParseCPU(text); err == nil {
			t.Errorf("ParseCPU(%q) = %d, want an error", text, got)
		}
	}
}

func TestAConfigSummaryNamesWhatWasAddedChangedAndDeleted(t *testing.T) {
	got := platform.ConfigSummary(map[string]string{"B": "1", "C": "1", "D": "1"}, map[string]string{"A": "1", "B": "1", "C": "2"})
	if want := "added A, changed C, deleted D"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func FuzzLimitsNeverPanic(f *testing.F) {
	for _, seed := range []string{"64M", "1/2", "0.5m", "9999999999999999999999G"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if n, err := platform.ParseMemory(text); err == nil && n < 0 {
			t.Errorf("ParseMemory(%q) = %d", text, n)
		}
		if n, err := platform.ParseCPU(text); err == nil && n < 0 {
			t.Errorf("ParseCPU(%q) = %d", text, n)
		}
	})
}
