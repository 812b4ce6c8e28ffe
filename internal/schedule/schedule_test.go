package schedule_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/slipway-paas/slipway/internal/schedule"
)

const layout = "2006-01-02 15:04 -0700"

// first are the first n moments after from, a local time with its offset.
func first(t *testing.T, text, zone, from string, n int) []string {
	t.Helper()
	s, err := schedule.Parse(text, zone)
	if err != nil {
		t.Fatal(err)
	}
	at, err := time.Parse(layout, from)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for next := range s.After(at) {
		if found = append(found, next.Format(layout)); len(found) == n {
			break
		}
	}
	return found
}

func TestAScheduleNamesItsMoments(t *testing.T) {
	for _, c := range []struct{ text, zone, from, want string }{
		{"*/20 * * * *", "", "2026-01-01 00:00 +0000", "2026-01-01 00:20 +0000, 2026-01-01 00:40 +0000, 2026-01-01 01:00 +0000"},
		{"0 3 * * *", "Europe/Berlin", "2026-07-01 03:00 +0200", "2026-07-02 03:00 +0200, 2026-07-03 03:00 +0200"},
		{"@daily", "Asia/Kolkata", "2026-07-01 00:00 +0000", "2026-07-02 00:00 +0530"},
		{"0 9-17/4 * * mon-fri", "", "2026-01-02 13:00 +0000", "2026-01-02 17:00 +0000, 2026-01-05 09:00 +0000"},
		{"0 0 29 2 *", "", "2096-03-01 00:00 +0000", "2104-02-29 00:00 +0000"},
		{"0 0 13 * fri", "", "2026-01-01 00:00 +0000", "2026-01-02 00:00 +0000, 2026-01-09 00:00 +0000, 2026-01-13 00:00 +0000"},
		{"@yearly", "", "2026-01-01 00:00 +0000", "2027-01-01 00:00 +0000"},
	} {
		want := strings.Split(c.want, ", ")
		if got := first(t, c.text, c.zone, c.from, len(want)); !slices.Equal(got, want) {
			t.Errorf("%s of %s: got %q, want %q", c.text, c.zone, got, want)
		}
	}
}

func TestAnHourThatIsLeftOutOrComesTwice(t *testing.T) {
	for name, c := range map[string]struct{ text, zone, from, want string }{
		"a time of day that is left out comes at the change": {
			"30 2 * * *", "Europe/Berlin", "2026-03-28 12:00 +0100",
			"2026-03-29 03:00 +0200, 2026-03-30 02:30 +0200",
		},
		"several of them come once": {
			"*/10 2 * * *", "Europe/Berlin", "2026-03-28 12:00 +0100",
			"2026-03-29 03:00 +0200, 2026-03-30 02:00 +0200",
		},
		"the time of the change itself comes once beside them": {
			"0 2,3 * * *", "Europe/Berlin", "2026-03-28 12:00 +0100",
			"2026-03-29 03:00 +0200, 2026-03-30 02:00 +0200",
		},
		"a time of day that comes twice counts the first time": {
			"30 2 * * *", "Europe/Berlin", "2026-10-24 12:00 +0200",
			"2026-10-25 02:30 +0200, 2026-10-26 02:30 +0100",
		},
		"asked between the two it has been": {
			"30 2 * * *", "Europe/Berlin", "2026-10-25 02:45 +0200",
			"2026-10-26 02:30 +0100",
		},
		"a distance skips the hour that is not there": {
			"*/30 * * * *", "Europe/Berlin", "2026-03-29 01:15 +0100",
			"2026-03-29 01:30 +0100, 2026-03-29 03:00 +0200, 2026-03-29 03:30 +0200",
		},
		"a distance comes in both hours": {
			"30 * * * *", "Europe/Berlin", "2026-10-25 01:45 +0200",
			"2026-10-25 02:30 +0200, 2026-10-25 02:30 +0100, 2026-10-25 03:30 +0100",
		},
		"half an hour is left out": {
			"15 2 * * *", "Australia/Lord_Howe", "2026-10-03 12:00 +1030",
			"2026-10-04 02:30 +1100, 2026-10-05 02:15 +1100",
		},
		"midnight is left out": {
			"@daily", "Africa/Cairo", "2026-04-23 12:00 +0200",
			"2026-04-24 01:00 +0300, 2026-04-25 00:00 +0300",
		},
		"a whole day is left out": {
			"0 10 * * *", "Pacific/Apia", "2011-12-29 12:00 -1000",
			"2011-12-31 00:00 +1400, 2011-12-31 10:00 +1400",
		},
	} {
		want := strings.Split(c.want, ", ")
		if got := first(t, c.text, c.zone, c.from, len(want)); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func TestWhatIsNoScheduleIsRefused(t *testing.T) {
	for text, want := range map[string]error{
		"": schedule.ErrForm, "* * * *": schedule.ErrForm, "0 * * * * *": schedule.ErrForm, "@every 1s": schedule.ErrForm, "@reboot": schedule.ErrForm,
		"TZ=UTC * * * *": schedule.ErrForm, "TZ=UTC": schedule.ErrForm, "CRON_TZ=UTC 0 3 * * *": schedule.ErrForm, "60 * * * *": schedule.ErrForm, ", * * * *": schedule.ErrForm,
		"1,,2 * * * *": schedule.ErrForm, "* * 0 * *": schedule.ErrForm, "5-1 * * * *": schedule.ErrForm, "*/0 * * * *": schedule.ErrForm,
		"0 0 30 2 *": schedule.ErrNever, "0 0 31 4,6,9,11 *": schedule.ErrNever, strings.Repeat("1,", 200) + "1 * * * *": schedule.ErrForm,
	} {
		if _, err := schedule.Parse(text, ""); !errors.Is(err, want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := schedule.Parse("0 0 * * 7", ""); err == nil || !strings.Contains(err.Error(), "Sunday is 0") {
		t.Error(err)
	}
	for _, zone := range []string{"Mars/Olympus", "Local", "../etc/passwd", "europe", strings.Repeat("x", 300)} {
		if _, err := schedule.Parse("@daily", zone); !errors.Is(err, schedule.ErrZone) {
			t.Errorf("%q: %v", zone, err)
		}
	}
}

func TestNoTextBreaksTheParser(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[-0-9*/,@=?a-zA-Z ]{0,30}`).Draw(t, "text")
		s, err := schedule.Parse(text, "Europe/Berlin")
		if err == nil && s.Next(time.Unix(0, 0)).IsZero() {
			t.Errorf("%q is taken and never comes", text)
		}
	})
}

// Whatever the zone, moments only move on, and outside of a change each shows
// a time that the schedule names.
func TestMomentsMoveOnInEveryZone(t *testing.T) {
	zones := []string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "America/Havana", "Asia/Tehran", "Pacific/Apia"}
	rapid.Check(t, func(t *rapid.T) {
		hour, minute := rapid.IntRange(0, 23).Draw(t, "hour"), rapid.IntRange(0, 59).Draw(t, "minute")
		text := time.Date(2000, 1, 1, hour, minute, 0, 0, time.UTC).Format("4 15") + " * * *"
		s, err := schedule.Parse(text, rapid.SampledFrom(zones).Draw(t, "zone"))
		if err != nil {
			t.Fatal(text, err)
		}
		from := time.Unix(rapid.Int64Range(946684800, 4102444800).Draw(t, "from"), 0)
		last, off := from, 0
		for next := range s.After(from) {
			if !next.After(last) || next.Sub(last) > 50*time.Hour {
				t.Fatalf("%s follows %s", next, last)
			}
			if next.Hour() != hour || next.Minute() != minute {
				off++
			}
			if last = next; next.Sub(from) > 400*24*time.Hour {
				break
			}
		}
		if off > 2 { // a change forward, at most one a year and a bit
			t.Fatalf("%s came %d times at another time", text, off)
		}
	})
}

func BenchmarkNext(b *testing.B) {
	s, err := schedule.Parse("* * * * *", "Europe/Berlin")
	if err != nil {
		b.Fatal(err)
	}
	at := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	for b.Loop() {
		s.Next(at)
	}
}
