package cli

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-paas/slipway/internal/api"
)

// listWord is a word whose items are read from text and written back to it, so
// that what is shown can be typed. Items that begin alike are one item.
type listWord[T any] struct {
	name, form, about, place string
	list                     func(*api.Edge) *[]T
	read                     func(string) (T, error)
	key                      func(T) string // what makes two items one
	text                     func(T) string // an item as it is typed
}

// named reports whether value is how somebody names an item: all of it, or what
// it begins with.
func (w listWord[T]) named(item T, value string) bool {
	text := w.text(item)
	return value == w.key(item) || value == text || strings.HasPrefix(text, value+" ")
}

func (w listWord[T]) word() edgeWord {
	return edgeWord{
		name: w.name, form: w.form, about: w.about,
		set: func(e *edgeChange, value string) error {
			item, err := w.read(value)
			if err != nil {
				return err
			}
			list := w.list(&e.now)
			if at := slices.IndexFunc(*list, func(other T) bool { return w.key(other) == w.key(item) }); at >= 0 {
				*list = slices.Clone(*list)
				(*list)[at] = item
			} else {
				*list = append(slices.Clone(*list), item)
			}
			e.put(w.place, *list)
			return nil
		},
		unset: func(e *edgeChange, value string) error {
			list := w.list(&e.now)
			left := []T{}
			for _, item := range *list {
				if value != "" && !w.named(item, value) {
					left = append(left, item)
				}
			}
			if value != "" && len(left) == len(*list) {
				return fmt.Errorf("none of its items begins with %q", value)
			}
			if *list = left; len(left) == 0 {
				e.put(w.place, nil)
				return nil
			}
			e.put(w.place, left)
			return nil
		},
	}
}

func redirectWord() edgeWord {
	return listWord[api.EdgeRedirect]{
		name: "redirect", form: "'/old -> https://example.com/new'", about: "answer with another place: [HOST][PATH] -> URL [STATUS]", place: "redirects",
		list: func(e *api.Edge) *[]api.EdgeRedirect { return &e.Redirects }, read: readRedirect, key: redirectFrom, text: redirectText,
	}.word()
}

func redirectFrom(r api.EdgeRedirect) string { return orWord(r.Host+r.Path, "*") }

func redirectText(r api.EdgeRedirect) string {
	text := redirectFrom(r) + " -> " + r.To
	if r.Status != 0 {
		text += " " + strconv.Itoa(r.Status)
	}
	return text
}

// arrow cuts "a -> b", also with the signs that people use for it.
func arrow(text string) (from, to string, ok bool) {
	for _, sign := range []string{"->", "=>", "→"} {
		if from, to, ok := strings.Cut(text, sign); ok {
			return strings.TrimSpace(from), strings.TrimSpace(to), true
		}
	}
	return "", "", false
}

func readRedirect(text string) (r api.EdgeRedirect, err error) {
	const form = "write '/old -> https://example.com/new', with 301 or 302 behind it if it shall not be 308"
	from, to, ok := arrow(text)
	if !ok || from == "" || to == "" {
		return r, errors.New(form)
	}
	words := strings.Fields(to)
	if r.To = words[0]; len(words) > 1 {
		if r.Status, err = strconv.Atoi(words[1]); err != nil || len(words) > 2 {
			return r, errors.New(form)
		}
	}
	switch {
	case from == "*":
	case strings.ContainsAny(from[:1], "/=~^"):
		r.Path = from
	default:
		host, path, found := strings.Cut(from, "/")
		if r.Host = host; found {
			r.Path = "/" + path
		}
	}
	return r, nil
}

func matchWord() edgeWord {
	return listWord[api.EdgeMatch]{
		name: "match", form: "'cookie beta=1 -> canary'", about: "lead requests to a process type by headers and cookies", place: "matches",
		list: func(e *api.Edge) *[]api.EdgeMatch { return &e.Matches }, read: readMatch, key: matchFrom, text: matchText,
	}.word()
}

func matchFrom(m api.EdgeMatch) string {
	var conditions []string
	for _, condition := range m.If {
		if condition.Cookie != "" {
			conditions = append(conditions, "cookie "+condition.Cookie+"="+condition.Value)
			continue
		}
		conditions = append(conditions, condition.Header+": "+condition.Value)
	}
	return strings.Join(conditions, " and ")
}

func matchText(m api.EdgeMatch) string { return matchFrom(m) + " -> " + m.Process }

func readMatch(text string) (m api.EdgeMatch, err error) {
	const form = "write 'cookie beta=1 -> canary' or 'X-Beta: * -> canary'"
	from, to, ok := arrow(text)
	if !ok || from == "" || to == "" {
		return m, errors.New(form)
	}
	m.Process = to
	for one := range strings.SplitSeq(from, " and ") {
		condition, ok := readCondition(strings.TrimSpace(one))
		if !ok {
			return m, errors.New(form)
		}
		m.If = append(m.If, condition)
	}
	return m, nil
}

// readCondition reads "cookie NAME=VALUE" and "[header] NAME: VALUE".
func readCondition(text string) (api.EdgeCondition, bool) {
	if cookie, ok := strings.CutPrefix(text, "cookie "); ok {
		name, value, ok := strings.Cut(strings.TrimSpace(cookie), "=")
		return api.EdgeCondition{Cookie: name, Value: value}, ok
	}
	name, value, ok := strings.Cut(strings.TrimPrefix(text, "header "), ":")
	return api.EdgeCondition{Header: strings.TrimSpace(name), Value: strings.TrimSpace(value)}, ok
}

func rateWord() edgeWord {
	return listWord[api.EdgeRate]{
		name: "rate", form: "'client 10/s burst 20 on /login'", about: "bound what one client may ask for: BY N/s [burst N] [concurrent N] [on PATH]", place: "rates",
		list: func(e *api.Edge) *[]api.EdgeRate { return &e.Rates }, read: readRate, key: rateFrom, text: rateText,
	}.word()
}

func rateFrom(r api.EdgeRate) string {
	if r.Path == "" {
		return r.By
	}
	return r.By + " on " + r.Path
}

func rateText(r api.EdgeRate) string {
	words := []string{r.By}
	if r.PerSecond > 0 {
		words = append(words, frequency(r.PerSecond))
	}
	if r.Burst > 0 {
		words = append(words, "burst", strconv.Itoa(r.Burst))
	}
	if r.Concurrent > 0 {
		words = append(words, "concurrent", strconv.Itoa(r.Concurrent))
	}
	if r.Path != "" {
		words = append(words, "on", r.Path)
	}
	return strings.Join(words, " ")
}

// frequency is a rate in the unit that makes it a whole number, if one does.
func frequency(perSecond float64) string {
	for _, unit := range []struct {
		sign    string
		seconds float64
	}{{"/s", 1}, {"/m", 60}, {"/h", 3600}} {
		if n := perSecond * unit.seconds; n > 0.5 && math.Abs(n-math.Round(n)) < 1e-6 {
			return strconv.FormatFloat(math.Round(n), 'f', -1, 64) + unit.sign
		}
	}
	return strconv.FormatFloat(perSecond, 'g', -1, 64) + "/s"
}

func readRate(text string) (r api.EdgeRate, err error) {
	const form = "write 'client 10/s burst 20', 'header:X-Api-Key 100/m' or 'app concurrent 50 on /export'"
	text, r.Path, _ = strings.Cut(text, " on ")
	r.Path = strings.TrimSpace(r.Path)
	words := strings.Fields(text)
	if len(words) == 0 {
		return r, errors.New(form)
	}
	if r.By = "client"; !strings.Contains(words[0], "/") && words[0] != "concurrent" {
		r.By, words = words[0], words[1:]
	}
	for i := 0; i < len(words); i++ {
		number, per, isRate := strings.Cut(words[i], "/")
		switch {
		case isRate:
			if r.PerSecond, err = perSecond(number, per); err != nil {
				return r, err
			}
		case (words[i] == "burst" || words[i] == "concurrent") && i+1 < len(words):
			n, err := strconv.Atoi(words[i+1])
			if err != nil {
				return r, fmt.Errorf("%q is no whole number", words[i+1])
			}
			if words[i] == "burst" {
				r.Burst = n
			} else {
				r.Concurrent = n
			}
			i++
		default:
			return r, errors.New(form)
		}
	}
	return r, nil
}

func perSecond(number, per string) (float64, error) {
	n, err := strconv.ParseFloat(number, 64)
	seconds := map[string]float64{"s": 1, "sec": 1, "second": 1, "m": 60, "min": 60, "minute": 60, "h": 3600, "hour": 3600}[per]
	if err != nil || seconds == 0 {
		return 0, fmt.Errorf("%s/%s is no rate: write 10/s, 100/m or 1000/h", number, per)
	}
	return n / seconds, nil
}

func classWord() edgeWord {
	return listWord[api.EdgeClass]{
		name: "class", form: "'critical POST /checkout'", about: "what is served first: critical, normal, bulk or background [METHOD] [PATH] [process TYPE] [header NAME: VALUE]", place: "overload.classes",
		list: func(e *api.Edge) *[]api.EdgeClass {
			if e.Overload == nil {
				e.Overload = &api.EdgeOverload{}
			}
			return &e.Overload.Classes
		}, read: readClass, key: classFor, text: classText,
	}.word()
}

// classFor is what a class is for, without the class.
func classFor(c api.EdgeClass) string {
	var words []string
	for _, word := range []string{c.Method, c.Path} {
		if word != "" {
			words = append(words, word)
		}
	}
	if c.Process != "" {
		words = append(words, "process", c.Process)
	}
	if c.Header != "" {
		words = append(words, "header", c.Header+":", c.Value)
	}
	return strings.Join(words, " ")
}

func classText(c api.EdgeClass) string { return c.Class + " " + classFor(c) }

func readClass(text string) (c api.EdgeClass, err error) {
	const form = "write 'critical POST /checkout', 'background process worker' or 'bulk header X-Batch: *'"
	text, header, _ := strings.Cut(text, " header ")
	if header != "" {
		condition, ok := readCondition(header)
		if !ok {
			return c, errors.New(form)
		}
		c.Header, c.Value = condition.Header, condition.Value
	}
	words := strings.Fields(text)
	if len(words) == 0 {
		return c, errors.New(form)
	}
	c.Class = words[0]
	for i := 1; i < len(words); i++ {
		word := words[i]
		switch {
		case word == "process" && i+1 < len(words):
			i++
			c.Process = words[i]
		case slices.Contains([]string{"=", "~", "~*", "^~"}, word) && i+1 < len(words):
			i++
			c.Path = word + " " + words[i]
		case strings.ContainsAny(word[:1], "/=~^"):
			c.Path = word
		case strings.ToUpper(word) == word:
			c.Method = word
		default:
			return c, errors.New(form)
		}
	}
	return c, nil
}

// denyWord takes several networks at once.
func denyWord() edgeWord {
	return edgeWord{
		name: "deny", form: "10.0.0.0/8,192.0.2.7", about: "networks whose clients get 403; see slipway whitelist for the others",
		set: func(e *edgeChange, value string) error {
			list, err := asList(value)
			if err != nil {
				return err
			}
			for _, network := range list.([]string) {
				if !slices.Contains(e.now.Deny, network) {
					e.now.Deny = append(slices.Clone(e.now.Deny), network)
				}
			}
			e.put("deny", e.now.Deny)
			return nil
		},
		unset: func(e *edgeChange, value string) error {
			if value == "" {
				e.now.Deny = nil
				e.put("deny", nil)
				return nil
			}
			for network := range strings.SplitSeq(value, ",") {
				at := slices.IndexFunc(e.now.Deny, func(n string) bool {
					return n == network || n == network+"/32" || n == network+"/128"
				})
				if at < 0 {
					return fmt.Errorf("%s is not denied", network)
				}
				e.now.Deny = slices.Delete(slices.Clone(e.now.Deny), at, at+1)
			}
			e.put("deny", e.now.Deny)
			return nil
		},
	}
}

func headerWord() edgeWord {
	return edgeWord{
		name: "header", form: "'X-Frame-Options: DENY'", about: "set a header on answers",
		set: func(e *edgeChange, value string) error {
			name, value, ok := strings.Cut(value, ":")
			if !ok || strings.TrimSpace(value) == "" {
				return errors.New("write 'X-Frame-Options: DENY', or remove-header=NAME to take one from answers")
			}
			e.putNamed("headers", strings.TrimSpace(name), strings.TrimSpace(value))
			return nil
		},
		unset: func(e *edgeChange, value string) error {
			name, _, _ := strings.Cut(value, ":")
			return e.unsetNamed("headers", e.now.Headers, name)
		},
	}
}

func removeHeaderWord() edgeWord {
	return edgeWord{
		name: "remove-header", form: "Server", about: "take a header from answers",
		set: func(e *edgeChange, value string) error {
			if value == "" {
				return errors.New("name a header")
			}
			e.putNamed("headers", value, "")
			return nil
		},
		unset: func(e *edgeChange, value string) error {
			if value == "" {
				return errors.New("name a header")
			}
			return e.unsetNamed("headers", e.now.Headers, value)
		},
	}
}

func pageWord() edgeWord {
	return edgeWord{
		name: "page", form: "404=gone.html", about: "HTML for what the router answers by itself; see slipway edge page",
		set: func(e *edgeChange, value string) error {
			name, file, ok := strings.Cut(value, "=")
			if !ok {
				return errors.New("write page 404=gone.html")
			}
			html, err := e.read(file, maxEdgeFile)
			if err == nil {
				e.putNamed("pages", name, html)
			}
			return err
		},
		unset: func(e *edgeChange, value string) error { return e.unsetNamed("pages", e.now.Pages, value) },
	}
}

// unsetNamed takes one name of a map away, or with "" all.
func (e *edgeChange) unsetNamed(word string, now map[string]string, name string) error {
	if name == "" {
		e.put(word, nil)
		return nil
	}
	for known := range now {
		if strings.EqualFold(known, strings.TrimSpace(name)) {
			e.putNamed(word, known, nil)
			return nil
		}
	}
	return fmt.Errorf("there is none for %s", name)
}

func clientCAWord() edgeWord {
	return edgeWord{
		name: "client-ca", form: "ca.pem", about: "ask for certificates of this authority, in PEM",
		set: func(e *edgeChange, value string) error {
			text, err := e.read(strings.TrimPrefix(value, "@"), maxEdgeFile)
			if err == nil {
				e.put("clients.ca", text)
			}
			return err
		},
		unset: func(e *edgeChange, _ string) error {
			e.put("clients", nil)
			return nil
		},
	}
}
