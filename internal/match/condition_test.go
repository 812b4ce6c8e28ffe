package match_test

import (
	"strings"
	"testing"

	"github.com/slipway-paas/slipway/internal/h1"
	"github.com/slipway-paas/slipway/internal/match"
	"github.com/slipway-paas/slipway/internal/platform"
)

// fields are those of "name: value" lines.
func fields(lines ...string) (all []h1.Field) {
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		all = append(all, h1.Field{Name: []byte(name), Value: []byte(value)})
	}
	return all
}

func TestACookieIsFoundAsServersFindIt(t *testing.T) {
	for _, c := range []struct {
		lines string
		name  string
		want  string // "-": none
	}{
		{"cookie: a=1", "a", "1"},
		{"Cookie: a=1; b=2", "b", "2"},
		{"Cookie: a=1;b=2", "b", "2"}, // the space is a must of who writes, not of who reads
		{"cookie: a=1|cookie: b=2", "b", "2"},
		{"cookie: a=1; a=2", "a", "1"},
		{`cookie: a="x y"`, "a", "x y"},
		{`cookie: a="`, "a", `"`},
		{"cookie: aa=1; a=2", "a", "2"},
		{"cookie: A=1", "a", "-"},
		{"cookie: a", "a", "-"},
		{"cookie: a=", "a", ""},
		{"cookie: b=a=1", "a", "-"},
		{"cookie: ;;; =; a=b=c", "a", "b=c"},
		{"x-cookie: a=1", "a", "-"},
		{"cookie: ", "a", "-"},
	} {
		got, there := match.Cookie(fields(strings.Split(c.lines, "|")...), c.name)
		if text := string(got); there != (c.want != "-") || there && text != c.want {
			t.Errorf("%s of %s: %q %v, want %q", c.name, c.lines, got, there, c.want)
		}
	}
}

func TestConditionsAreMetTogether(t *testing.T) {
	compiled, err := match.CompileConditions([]platform.Condition{
		{Header: "X-Beta", Value: "yes"}, {Cookie: "group", Value: "*"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for lines, want := range map[string]bool{
		"x-beta: yes|Cookie: group=7":              true,
		"X-BETA: no|x-beta: yes|Cookie: group=":    true,
		"x-beta: yes":                              false,
		"x-beta: Yes|Cookie: group=7":              false,
		"Cookie: group=7":                          false,
		"x-beta: yes|Cookie: Group=7":              false,
		"x-beta-2: yes|x-bet: yes|Cookie: group=7": false,
	} {
		if got := compiled.Met(fields(strings.Split(lines, "|")...)); got != want {
			t.Errorf("%s: %v", lines, got)
		}
	}
	if match.Conditions(nil).Met(fields("x-beta: yes")) {
		t.Error("no condition is met by everything")
	}
}

func TestAListWithAWrongConditionIsNoList(t *testing.T) {
	for _, wrong := range [][]platform.Condition{
		{{Header: "X", Value: "1"}, {Value: "1"}},
		{{Header: "X", Cookie: "y", Value: "1"}},
		{{Header: "X: 1\r\nY", Value: "1"}},
		{{Cookie: "a=b", Value: "1"}},
		make([]platform.Condition, match.MaxConditions+1),
	} {
		if got, err := match.CompileConditions(wrong); err == nil || got != nil {
			t.Errorf("%v was taken", wrong)
		}
	}
}

func TestAHostIsMatchedAsRoutesMatchIt(t *testing.T) {
	for _, c := range []struct {
		pattern, host string
		want          bool
	}{
		{"", "a.test", true},
		{"A.test.", "a.test", true},
		{"a.test", "b.a.test", false},
		{"*.a.test", "b.a.test", true},
		{"*.a.test", "c.b.a.test", true},
		{"*.a.test", "a.test", false},
		{"*.a.test", ".a.test", false},
		{"*.a.test", "ba.test", false},
	} {
		host, err := match.CompileHost(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got := host.Matches(c.host); got != c.want {
			t.Errorf("%s of %s: %v", c.pattern, c.host, got)
		}
	}
	for _, wrong := range []string{"*", "*.", "*a.test", "a test", "a/b", "a\r\nb", ".a", "**.a", strings.Repeat("a", 300)} {
		if _, err := match.CompileHost(wrong); err == nil {
			t.Errorf("%q was taken", wrong)
		}
	}
}

func FuzzCookie(f *testing.F) {
	f.Add("a=1; b=2", "b")
	f.Fuzz(func(t *testing.T, text, name string) {
		value, there := match.Cookie([]h1.Field{{Name: []byte("Cookie"), Value: []byte(text)}}, name)
		if there && !strings.Contains(text, name+"=") || !strings.Contains(text, string(value)) {
			t.Fatalf("%q of %q: %q", name, text, value)
		}
	})
}
