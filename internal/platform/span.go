package platform

import (
	"strconv"
	"strings"
	"time"
)

const (
	day  = 24 * time.Hour
	year = 365 * day
)

// maxSpan is the longest span that is read: what more is wanted for is a typo.
const maxSpan = 100 * year

// ParseSpan reads how long something takes as people write it: 250ms, 30s,
// 1m30s, 12h, 30d, 2w, 1y (of 365 days), and a bare number of seconds.
func ParseSpan(text string) (time.Duration, bool) {
	if seconds, err := strconv.ParseFloat(text, 64); err == nil {
		if seconds < 0 || !(seconds <= maxSpan.Seconds()) || strings.ContainsAny(text, "xXpP_nN") {
			return 0, false
		}
		return time.Duration(seconds * float64(time.Second)), true
	}
	var sum time.Duration
	rest := text
	for _, unit := range []struct {
		sign string
		span time.Duration
	}{{"y", year}, {"w", 7 * day}, {"d", day}} {
		number, after, ok := strings.Cut(rest, unit.sign)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(number, 10, 16)
		if err != nil || time.Duration(n) > maxSpan/unit.span {
			return 0, false
		}
		sum, rest = sum+time.Duration(n)*unit.span, after
	}
	if rest == "" && sum+0 <= maxSpan {
		return sum, text != ""
	}
	short, err := time.ParseDuration(rest)
	if err != nil || short < 0 || strings.ContainsAny(rest, "+-") || sum > maxSpan || short > maxSpan-sum {
		return 0, false
	}
	return sum + short, true
}

// SpanText is a span as ParseSpan reads it, in the largest units that fit.
func SpanText(d time.Duration) string {
	switch {
	case d >= year && d%year == 0:
		return strconv.FormatInt(int64(d/year), 10) + "y"
	case d >= day && d%day == 0:
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// ParseSize reads a number of bytes as people write it: 512, 64K, 10M, 10MB,
// 2G. Units are binary: K is 1,024.
func ParseSize(text string) (int64, bool) {
	upper := strings.ToUpper(strings.TrimSpace(text))
	upper = strings.TrimSuffix(strings.TrimSuffix(upper, "B"), "I")
	unit := int64(1)
	for i, sign := range []string{"K", "M", "G", "T"} {
		if number, ok := strings.CutSuffix(upper, sign); ok {
			upper, unit = number, 1<<(10*(i+1))
		}
	}
	n, err := strconv.ParseInt(upper, 10, 64)
	if err != nil || n < 0 || n > (1<<60)/unit || strings.ContainsAny(upper, "+-") {
		return 0, false
	}
	return n * unit, true
}

// SizeText is a number of bytes as ParseSize reads it, in the largest unit that
// divides it.
func SizeText(n int64) string {
	signs := []string{"", "K", "M", "G", "T"}
	i := 0
	for n >= 1<<10 && n%(1<<10) == 0 && i < len(signs)-1 {
		n, i = n>>10, i+1
	}
	return strconv.FormatInt(n, 10) + signs[i]
}
