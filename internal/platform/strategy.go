package platform

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// StrategyKind names how requests are led from one release to the next.
type StrategyKind string

// The strategies. The empty one is Instant.
const (
	Instant  StrategyKind = "instant"  // all at once
	Staged   StrategyKind = "staged"   // a growing share of the requests
	Count    StrategyKind = "count"    // some instances first, then all
	Canary   StrategyKind = "canary"   // those that meet conditions, until somebody promotes
	Mirrored StrategyKind = "mirrored" // copies first, of which nobody sees the answers
)

// Strategy is how an app's requests are led from one release to the next. The
// zero value leads all at once and judges by the platform's own budget.
type Strategy struct {
	Kind StrategyKind `json:"strategy,omitempty"`
	// Steps are shares of 10,000, growing; the whole follows by itself. Staged.
	Steps []int `json:"steps,omitempty"`
	// Count is how many instances of each process type are first. Count.
	Count int `json:"count,omitempty"`
	// Weight is the share of 10,000 that a canary gets besides.
	Weight int `json:"weight,omitempty"`
	// If are the conditions of a canary: all of them.
	If []Condition `json:"if,omitempty"`
	// Mirror is how many of 10,000 safe requests are copied. Mirrored.
	Mirror int `json:"mirror,omitempty"`
	// By and Cookie: see Shift.
	By     string `json:"by,omitempty"`
	Cookie string `json:"cookie,omitempty"`
	// Pause is how long a step takes at least. For a canary it is when it is
	// promoted by itself; 0: when somebody does.
	Pause time.Duration `json:"pause,omitempty"`
	// MinRequests is how many the new release has to have had in a step.
	MinRequests int64 `json:"min_requests,omitempty"`
	// Deadline is how long a step waits for them before the cutover is undone;
	// 0: DefaultDeadline beyond the pause.
	Deadline time.Duration `json:"deadline,omitempty"`
	// ErrorBudget is how many more of 10,000 requests may fail on the new release,
	// and LatencyBudget how much slower it may be; nil and 0: the platform's own.
	ErrorBudget   *int          `json:"error_budget,omitempty"`
	LatencyBudget time.Duration `json:"latency_budget,omitempty"`
	// SizeBudget is how many of 10,000 answers to copied requests may have another
	// length than the clients'; nil: any.
	SizeBudget *int `json:"size_budget,omitempty"`
}

// What a strategy has where nothing else was said.
const (
	DefaultDeadline = time.Hour
	defaultPause    = 30 * time.Second
	// longestStep bounds pauses and deadlines.
	longestStep = 30 * 24 * time.Hour
	maxSteps    = 20
	maxIf       = 10
)

// WithDefaults is the strategy with what it needs and nobody said.
func (s Strategy) WithDefaults() Strategy {
	if s.Kind == "" {
		s.Kind = Instant
	}
	switch s.Kind {
	case Staged:
		if len(s.Steps) == 0 {
			s.Steps = []int{1000, 5000}
		}
	case Count:
		s.Count = max(s.Count, 1)
	case Mirrored:
		if s.Mirror == 0 {
			s.Mirror = 1000
		}
	case Instant, Canary:
	}
	if s.Pause == 0 && s.MinRequests == 0 && s.Kind != Canary && s.Kind != Instant {
		s.Pause = defaultPause
	}
	if s.Deadline == 0 {
		s.Deadline = s.Pause + DefaultDeadline
	}
	return s
}

// Valid says in words what is wrong with the strategy as a whole.
func (s Strategy) Valid() error {
	switch {
	case s.Kind == Canary && len(s.If) == 0 && s.Weight == 0:
		return Invalid("strategy", "A canary needs to be told who comes to it: header=NAME:VALUE, cookie=NAME:VALUE or weight=5%%")
	case s.MinRequests > 0 && s.Deadline > 0 && s.Deadline < s.Pause:
		return Invalid("deadline", "The deadline of a step is shorter than its pause.")
	}
	return nil
}

// setting is one word of a strategy: how it is read and shown.
type setting struct {
	set  func(s *Strategy, text string) error
	text func(s Strategy) string
}

var settings = map[string]setting{
	"strategy": {setKind, func(s Strategy) string { return string(s.Kind) }},
	"steps":    {setSteps, func(s Strategy) string { return percents(s.Steps) }},
	"count":    {setCount, func(s Strategy) string { return number(int64(s.Count)) }},
	"weight":   {setShare(func(s *Strategy) *int { return &s.Weight }), func(s Strategy) string { return share(s.Weight) }},
	"header":   {setConditions(false), func(s Strategy) string { return conditions(s.If, false) }},
	"cookie":   {setConditions(true), func(s Strategy) string { return conditions(s.If, true) }},
	"mirror":   {setShare(func(s *Strategy) *int { return &s.Mirror }), func(s Strategy) string { return share(s.Mirror) }},
	"by":       {setBy, func(s Strategy) string { return s.By }},
	"sticky":   {setSticky, func(s Strategy) string { return s.Cookie }},
	"pause":    {setTime(func(s *Strategy) *time.Duration { return &s.Pause }), func(s Strategy) string { return span(s.Pause) }},
	"deadline": {setTime(func(s *Strategy) *time.Duration { return &s.Deadline }), func(s Strategy) string { return span(s.Deadline) }},
	"latency-budget": {
		setTime(func(s *Strategy) *time.Duration { return &s.LatencyBudget }),
		func(s Strategy) string { return span(s.LatencyBudget) },
	},
	"min-requests": {setMinRequests, func(s Strategy) string { return number(s.MinRequests) }},
	"error-budget": {
		setBudget(func(s *Strategy) **int { return &s.ErrorBudget }),
		func(s Strategy) string { return allowance(s.ErrorBudget) },
	},
	"size-budget": {
		setBudget(func(s *Strategy) **int { return &s.SizeBudget }),
		func(s Strategy) string { return allowance(s.SizeBudget) },
	},
}

// StrategyKeys are the words of a strategy, in the order they are shown in.
var StrategyKeys = []string{
	"strategy", "steps", "count", "weight", "header", "cookie", "mirror", "by", "sticky", "pause", "min-requests", "deadline", "error-budget", "latency-budget", "size-budget",
}

// Set changes one word of the strategy; an empty text takes it back.
func (s *Strategy) Set(key, text string) error {
	word, ok := settings[key]
	if !ok {
		return Invalid(key, "There is no such setting; there are %s", strings.Join(StrategyKeys, ", "))
	}
	if err := word.set(s, strings.TrimSpace(text)); err != nil {
		return Invalid(key, "%s", err)
	}
	return nil
}

// Words are what was said of the strategy, by key.
func (s Strategy) Words() map[string]string {
	words := make(map[string]string)
	for key, word := range settings {
		if text := word.text(s); text != "" {
			words[key] = text
		}
	}
	return words
}

func setKind(s *Strategy, text string) error {
	kinds := []StrategyKind{Instant, Staged, Count, Canary, Mirrored}
	if text != "" && !slices.Contains(kinds, StrategyKind(text)) {
		return fmt.Errorf("%q is no strategy: write instant, staged, count, canary or mirrored", text)
	}
	s.Kind = StrategyKind(text)
	return nil
}

func setSteps(s *Strategy, text string) error {
	var steps []int
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' }) {
		step, err := parseShare(word)
		switch {
		case err != nil:
			return err
		case step == 0 || len(steps) > 0 && step <= steps[len(steps)-1]:
			return fmt.Errorf("each step is more than the one before: write 1%%,10%%,50%%")
		case step < Whole:
			steps = append(steps, step)
		}
	}
	if len(steps) > maxSteps {
		return fmt.Errorf("there are at most %d steps", maxSteps)
	}
	s.Steps = steps
	return nil
}

func setCount(s *Strategy, text string) error {
	n, err := whole(text, MaxInstances)
	s.Count = int(n)
	return err
}

func setMinRequests(s *Strategy, text string) (err error) {
	s.MinRequests, err = whole(text, 1_000_000_000)
	return err
}

// whole reads a number from 0 to most; nothing is 0.
func whole(text string, most int64) (int64, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > most {
		return 0, fmt.Errorf("%q is no number from 0 to %d", text, most)
	}
	return n, nil
}

func setShare(field func(*Strategy) *int) func(*Strategy, string) error {
	return func(s *Strategy, text string) (err error) {
		*field(s) = 0
		if text != "" {
			*field(s), err = parseShare(text)
		}
		return err
	}
}

func setBudget(field func(*Strategy) **int) func(*Strategy, string) error {
	return func(s *Strategy, text string) error {
		*field(s) = nil
		if text == "" {
			return nil
		}
		budget, err := parseShare(text)
		if err == nil {
			*field(s) = &budget
		}
		return err
	}
}

// parseShare reads "5%", "0.5%" or "5" as a share of 10,000.
func parseShare(text string) (int, error) {
	f, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(text, "%")), 64)
	if err != nil || !(f >= 0 && f <= 100) {
		return 0, fmt.Errorf("%q is no share: write 5%%, or any from 0%% to 100%%", text)
	}
	return int(math.Round(f * 100)), nil
}

func setTime(field func(*Strategy) *time.Duration) func(*Strategy, string) error {
	return func(s *Strategy, text string) error {
		*field(s) = 0
		if text == "" {
			return nil
		}
		d, err := time.ParseDuration(text)
		if err != nil || d < 0 || d > longestStep {
			return fmt.Errorf("%q is no time: write 250ms, 30s, 10m or 1h", text)
		}
		*field(s) = d
		return nil
	}
}

func setBy(s *Strategy, text string) error {
	if text != "" && text != ByRequest && text != ByClient {
		return fmt.Errorf("%q is neither request nor client", text)
	}
	s.By = text
	return nil
}

func setSticky(s *Strategy, text string) error {
	if text != "" && !token(text) {
		return fmt.Errorf("%q is no name of a cookie", text)
	}
	s.Cookie = text
	return nil
}

// setConditions reads NAME:VALUE,… into the conditions of one kind.
func setConditions(cookie bool) func(*Strategy, string) error {
	return func(s *Strategy, text string) error {
		kept := slices.DeleteFunc(slices.Clone(s.If), func(c Condition) bool { return (c.Cookie != "") == cookie })
		for word := range strings.SplitSeq(text, ",") {
			if word = strings.TrimSpace(word); word == "" {
				continue
			}
			name, value, ok := strings.Cut(word, ":")
			if !ok {
				value = "*"
			}
			if name, value = strings.TrimSpace(name), strings.TrimSpace(value); !token(name) || len(value) > 256 {
				return fmt.Errorf("%q is no NAME:VALUE", word)
			}
			if cookie {
				kept = append(kept, Condition{Cookie: name, Value: value})
			} else {
				kept = append(kept, Condition{Header: name, Value: value})
			}
		}
		if len(kept) > maxIf {
			return fmt.Errorf("there are at most %d conditions", maxIf)
		}
		s.If = kept
		return nil
	}
}

// token reports whether text may name a header or a cookie (RFC 9110, 5.6.2).
func token(text string) bool {
	if text == "" || len(text) > 128 {
		return false
	}
	for i := range len(text) {
		switch c := text[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return true
}

func conditions(all []Condition, cookie bool) string {
	var words []string
	for _, c := range all {
		if (c.Cookie != "") == cookie {
			words = append(words, c.Header+c.Cookie+":"+c.Value)
		}
	}
	return strings.Join(words, ",")
}

func percents(shares []int) string {
	words := make([]string, len(shares))
	for i, s := range shares {
		words[i] = percent(s)
	}
	return strings.Join(words, ",")
}

func percent(share int) string {
	return strconv.FormatFloat(float64(share)/100, 'f', -1, 64) + "%"
}

func share(of int) string {
	if of == 0 {
		return ""
	}
	return percent(of)
}

func allowance(budget *int) string {
	if budget == nil {
		return ""
	}
	return percent(*budget)
}

func number(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

func span(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}
