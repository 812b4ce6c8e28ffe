package contract_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// answer is what came back, with what the contract says of it. All checks
// return the answer, so that a test reads as one sentence.
type answer struct {
	t      *testing.T
	asked  string
	code   int
	header http.Header
	body   []byte
}

func (a *answer) fail(format string, args ...any) {
	a.t.Helper()
	a.t.Errorf("%s\n%s\nanswered %d %s", a.asked, fmt.Sprintf(format, args...), a.code, a.body)
}

// common holds for every answer of the API.
func (a *answer) common() {
	a.t.Helper()
	if got := a.header.Get("DEIS_API_VERSION"); got != "2.3" {
		a.fail("DEIS_API_VERSION is %q, not 2.3", got)
	}
	if a.header.Get("DEIS_PLATFORM_VERSION") == "" {
		a.fail("no DEIS_PLATFORM_VERSION")
	}
	switch {
	case a.code >= 500 && a.code != 503:
		a.fail("the platform broke")
	case a.code == 401 && a.header.Get("WWW-Authenticate") != "Token":
		a.fail("401 without WWW-Authenticate: Token")
	case a.code == 204 && len(a.body) > 0:
		a.fail("204 with a body")
	case a.code >= 300 && a.code < 400:
		a.fail("a redirect turns a POST into a GET")
	}
}

func (a *answer) status(want int) *answer {
	a.t.Helper()
	if a.code != want {
		a.fail("want status %d", want)
		a.t.FailNow()
	}
	return a
}

// empty is zero bytes.
func (a *answer) empty() *answer {
	a.t.Helper()
	if len(a.body) > 0 {
		a.fail("want an empty body")
	}
	return a
}

// detail is {"detail": text}, and nothing else.
func (a *answer) detail(text string) *answer {
	a.t.Helper()
	var got map[string]any
	if json.Unmarshal(a.body, &got) != nil || len(got) != 1 || got["detail"] != text {
		a.fail("want {\"detail\": %q}", text)
	}
	return a
}

// detailLike matches the detail.
func (a *answer) detailLike(pattern string) *answer {
	a.t.Helper()
	var got map[string]string
	if json.Unmarshal(a.body, &got) != nil || !regexp.MustCompile(pattern).MatchString(got["detail"]) {
		a.fail("want a detail like %s", pattern)
	}
	return a
}

// missing is the bare string of a lookup that found nothing.
func (a *answer) missing(kind string) *answer {
	a.t.Helper()
	a.status(404)
	if got := strings.TrimSpace(string(a.body)); got != fmt.Sprintf("%q", "No "+kind+" matches the given query.") {
		a.fail("want the bare string for a %s", kind)
	}
	return a
}

// refuses is a 400 that has this message for the field.
func (a *answer) refuses(field, message string) *answer {
	a.t.Helper()
	a.status(400)
	var got map[string][]string
	if json.Unmarshal(a.body, &got) != nil || !slices.Contains(got[field], message) {
		a.fail("want %q under %q", message, field)
	}
	return a
}

// refusesLike is refuses with a pattern.
func (a *answer) refusesLike(field, pattern string) *answer {
	a.t.Helper()
	a.status(400)
	var got map[string][]string
	like := regexp.MustCompile(pattern)
	if json.Unmarshal(a.body, &got) != nil || !slices.ContainsFunc(got[field], like.MatchString) {
		a.fail("want a message like %s under %q", pattern, field)
	}
	return a
}

// text is the whole body.
func (a *answer) text(want string) *answer {
	a.t.Helper()
	if string(a.body) != want {
		a.fail("want %q", want)
	}
	return a
}

// json compares with a pattern in JSON. Objects may have more keys than the
// pattern: clients ignore them. A string <time>, <uuid>, <text> or <int>
// stands for any of the kind, ~… for a regular expression.
func (a *answer) json(pattern string) *answer {
	a.t.Helper()
	if kind := a.header.Get("Content-Type"); !strings.HasPrefix(kind, "application/json") {
		a.fail("content type %q", kind)
	}
	var want, got any
	must(a.t, json.Unmarshal([]byte(pattern), &want))
	if err := json.Unmarshal(a.body, &got); err != nil {
		a.fail("no JSON: %v", err)
		return a
	}
	if path, ok := match("", want, got); !ok {
		a.fail("at %q it is not %s", path, pattern)
	}
	return a
}

var kinds = map[string]*regexp.Regexp{
	"<uuid>": regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`),
	"<text>": regexp.MustCompile(`(?s).`),
}

// match returns the path of the first difference.
func match(path string, want, got any) (string, bool) {
	switch want := want.(type) {
	case map[string]any:
		object, ok := got.(map[string]any)
		if !ok {
			return path, false
		}
		for _, key := range slices.Sorted(maps.Keys(want)) {
			value, ok := object[key]
			if !ok {
				return path + "." + key, false
			}
			if at, ok := match(path+"."+key, want[key], value); !ok {
				return at, false
			}
		}
		// An empty object in the pattern is an empty object.
		return path, len(want) > 0 || len(object) == 0
	case []any:
		list, ok := got.([]any)
		if !ok || len(list) != len(want) {
			return path, false
		}
		for i := range want {
			if at, ok := match(fmt.Sprintf("%s[%d]", path, i), want[i], list[i]); !ok {
				return at, false
			}
		}
		return path, true
	case string:
		return path, matchText(want, got)
	}
	return path, want == got
}

func matchText(want string, got any) bool {
	if want == "<int>" {
		n, ok := got.(float64)
		return ok && n == float64(int64(n))
	}
	text, ok := got.(string)
	if !ok {
		return false
	}
	if want == "<time>" {
		_, err := time.Parse("2006-01-02T15:04:05Z", text)
		return err == nil
	}
	if pattern, ok := strings.CutPrefix(want, "~"); ok {
		return regexp.MustCompile(pattern).MatchString(text)
	}
	if kind, ok := kinds[want]; ok {
		return kind.MatchString(text)
	}
	return text == want
}

// decode reads the body into a value.
func (a *answer) decode(into any) *answer {
	a.t.Helper()
	if err := json.Unmarshal(a.body, into); err != nil {
		a.fail("%v", err)
		a.t.FailNow()
	}
	return a
}

// field is a text of the object.
func (a *answer) field(name string) string {
	a.t.Helper()
	var object map[string]any
	a.decode(&object)
	text, _ := object[name].(string)
	return text
}

// containing looks for words anywhere in the body.
func (a *answer) containing(words string) *answer {
	a.t.Helper()
	if !strings.Contains(string(a.body), words) {
		a.fail("want %q in it", words)
	}
	return a
}
