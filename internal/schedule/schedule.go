// Package schedule is cron's calendar: it is handed a schedule in cron's five
// fields and a time zone, and hands back the moments they name. It knows no
// clock and starts nothing.
//
// Where a zone puts its clocks forward or back, what is meant decides. A
// schedule that names its hours, such as "30 2 * * *", means that time of day:
// it comes once a day, one that the change leaves out at the moment of the
// change, one that comes twice the first time. A schedule whose hour begins
// with *, such as "*/15 * * * *", means that distance: it comes at every such
// time that the clocks show, in both of the doubled hours and in none of the
// one that is left out.
package schedule

import (
	"errors"
	"iter"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // zones also on a machine without a list of them

	"github.com/robfig/cron/v3"
)

// Schedule is when something is due. The zero Schedule never is.
type Schedule struct {
	minutes, hours, days, months, weekdays uint64
	// elapsing: the hour begins with *.
	elapsing bool
	zone     *time.Location
}

var parser = cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)

// maxText bounds a schedule and a zone, in bytes.
const maxText = 200

// The reasons why a text is no schedule. They may be shown to a user.
var (
	ErrForm  = errors.New("a schedule has five fields, minute hour day-of-month month day-of-week, such as 0 3 * * *, or is one of @hourly, @daily, @weekly, @monthly and @yearly")
	ErrNever = errors.New("there is no such day")
	ErrZone  = errors.New("a time zone is a name of the IANA list, such as Europe/Berlin or UTC")
)

// Parse reads a schedule of the given time zone; empty: UTC. Days are those of
// either day field when both are given, as ever in cron. Its error is for the
// user.
func Parse(text, zone string) (Schedule, error) {
	location, err := parseZone(zone)
	if err != nil {
		return Schedule{}, err
	}
	fields := strings.Fields(text)
	named := len(fields) == 1 && strings.HasPrefix(text, "@") && !strings.HasPrefix(text, "@every")
	if len(text) > maxText || !named && len(fields) != 5 || slices.ContainsFunc(fields, emptied) {
		return Schedule{}, ErrForm
	}
	parsed, err := parser.Parse(text)
	if err != nil {
		return Schedule{}, &fieldError{err}
	}
	spec, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return Schedule{}, ErrForm
	}
	s := Schedule{
		minutes: spec.Minute, hours: spec.Hour, days: spec.Dom, months: spec.Month, weekdays: spec.Dow,
		elapsing: text == "@hourly" || !named && strings.HasPrefix(fields[1], "*"), zone: location,
	}
	if s.Next(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return Schedule{}, ErrNever
	}
	return s, nil
}

// emptied reports whether a field is one that names nothing, or no field but a
// word of another kind.
func emptied(field string) bool {
	return strings.HasPrefix(field, ",") || strings.HasSuffix(field, ",") || strings.Contains(field, ",,") || strings.Contains(field, "=")
}

// fieldError says which field is wrong, in the words of the parser.
type fieldError struct{ err error }

func (e *fieldError) Error() string {
	text := e.err.Error()
	if strings.Contains(text, "above maximum (6)") {
		text += " (Sunday is 0)"
	}
	return text
}

func (e *fieldError) Unwrap() error { return ErrForm }

func parseZone(name string) (*time.Location, error) {
	switch {
	case name == "":
		return time.UTC, nil
	case name == "Local" || len(name) > maxText:
		return nil, ErrZone // the machine's own, whatever that is
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, ErrZone
	}
	return zone, nil
}

// Next is the first moment after t, in the schedule's zone; zero when there is
// none.
func (s Schedule) Next(t time.Time) time.Time {
	for next := range s.After(t) {
		return next
	}
	return time.Time{}
}

// horizon is how many days are looked through for the next moment: those
// between two 29ths of February around a year like 2100, and a few.
const horizon = 8*366 + 7

// After yields the moments after t, each later than the one before.
func (s Schedule) After(t time.Time) iter.Seq[time.Time] {
	return func(yield func(time.Time) bool) {
		if s.zone == nil {
			return
		}
		local := t.In(s.zone)
		// Days are counted as if there were no zones. The day before, too: what a
		// change leaves out of it comes later.
		day := time.Date(local.Year(), local.Month(), local.Day()-1, 0, 0, 0, 0, time.UTC)
		last := t.Unix()
		for idle := 0; idle < horizon; idle++ {
			if s.names(day) {
				for _, moment := range s.on(day, last) {
					if moment <= last {
						continue
					}
					last, idle = moment, 0
					if !yield(time.Unix(moment, 0).In(s.zone)) {
						return
					}
				}
			}
			day = day.AddDate(0, 0, 1)
		}
	}
}

// star is the bit that the parser sets for *.
const star = 1 << 63

// names reports whether the schedule names a day.
func (s Schedule) names(day time.Time) bool {
	if s.months&(1<<uint(day.Month())) == 0 {
		return false
	}
	of := s.days&(1<<uint(day.Day())) != 0
	in := s.weekdays&(1<<uint(day.Weekday())) != 0
	if s.days&star != 0 || s.weekdays&star != 0 {
		return of && in
	}
	return of || in
}

// on are the moments of a day, in order, each as seconds since 1970 UTC; those
// up to last may be left out.
func (s Schedule) on(day time.Time, last int64) []int64 {
	before, after := s.offset(day.Add(-24*time.Hour)), s.offset(day.Add(48*time.Hour))
	var moments []int64
	for hour := range 24 {
		if s.hours&(1<<hour) == 0 {
			continue
		}
		for minute := range 60 {
			if s.minutes&(1<<minute) == 0 {
				continue
			}
			shown := day.Unix() + int64(hour*3600+minute*60)
			switch {
			case before != after:
				moments = append(moments, s.changing(shown, before, after)...)
			case shown-before > last:
				moments = append(moments, shown-before)
			}
		}
	}
	if before != after {
		slices.Sort(moments)
		moments = slices.Compact(moments)
	}
	return moments
}

// changing are the moments at which clocks show a time around a change of the
// zone's offset, or what stands in for them.
func (s Schedule) changing(shown, before, after int64) []int64 {
	var moments []int64
	for _, offset := range []int64{max(before, after), min(before, after)} { // the earlier moment first
		if s.offset(time.Unix(shown-offset, 0)) == offset {
			moments = append(moments, shown-offset)
		}
	}
	switch {
	case s.elapsing:
		return moments
	case len(moments) == 0:
		change, _ := time.Unix(shown-before, 0).In(s.zone).ZoneBounds()
		return []int64{change.Unix()}
	}
	return moments[:1]
}

// offset is how many seconds the zone is ahead of UTC at a moment.
func (s Schedule) offset(at time.Time) int64 {
	_, seconds := at.In(s.zone).Zone()
	return int64(seconds)
}
