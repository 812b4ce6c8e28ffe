package overload

import (
	"bytes"
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/slipway-paas/slipway/internal/h1"
	"github.com/slipway-paas/slipway/internal/match"
	"github.com/slipway-paas/slipway/internal/platform"
)

// Visit is a request as Levels and Rates look at it.
type Visit struct {
	Head    *h1.Request
	Path    string // decoded and clean: see match.CleanPath
	Process string // the type that serves it; empty: the main one
	Client  netip.Addr
	Unix    int64 // the time in seconds, for the hour
}

// Levels says which level a request of one app has. Immutable.
type Levels struct {
	wish   platform.Overload
	key    Key
	jitter int64 // when in the hour the app's users change places
	user   source
	rules  []classRule
	wrong  []string
}

type classRule struct {
	class                   Class
	method, header, process string
	value                   string
	path                    match.Path
}

// LevelsAfter are the levels of an app's wish; old, when that is the wish and
// key it was made of. What cannot be used of the wish is left out and named by
// Complaints.
func LevelsAfter(old *Levels, app string, key Key, wish platform.Overload) *Levels {
	if old != nil && old.key == key && old.wish.User == wish.User && slices.Equal(old.wish.Classes, wish.Classes) {
		return old
	}
	l := &Levels{wish: wish, key: key, jitter: int64(key.sip(0, []byte(app)) % 3600)}
	l.wish.Classes = slices.Clone(wish.Classes)
	var err error
	if l.user, err = parseSource(wish.User, "client"); err != nil || l.user.kind == byApp {
		l.wrong = append(l.wrong, fmt.Sprintf("overload: users are told apart by cookie:NAME or header:NAME, not by %.80q", wish.User))
		l.user = source{}
	}
	left := platform.MaxPathWeight
	for _, rule := range wish.Classes {
		if err := l.add(rule, &left); err != nil {
			l.wrong = append(l.wrong, fmt.Sprintf("overload class %.80q is left out: %v", rule.Class, err))
		}
	}
	return l
}

// mainProcess stands for all types that serve what no path is for.
const mainProcess = "web"

// maxClasses bounds the rules of an app, each of which may cost a match.
const maxClasses = 100

func (l *Levels) add(wish platform.OverloadClass, left *int) (err error) {
	rule := classRule{method: wish.Method, header: strings.ToLower(wish.Header), process: wish.Process, value: wish.Value}
	if rule.class, err = ParseClass(wish.Class); err != nil {
		return err
	}
	if platform.Routable(rule.process) {
		rule.process = mainProcess
	}
	if len(l.rules) == maxClasses {
		return fmt.Errorf("an app may have %d rules", maxClasses)
	}
	if wish.Path != "" {
		if rule.path, err = match.CompilePath(wish.Path, left); err != nil {
			return fmt.Errorf("path %.80q: %w", wish.Path, err)
		}
	}
	l.rules = append(l.rules, rule)
	return nil
}

// Complaints say what of the wish was left out, and why.
func (l *Levels) Complaints() []string { return l.wrong }

// Level is the level of a request. It allocates nothing.
func (l *Levels) Level(v *Visit) Level {
	return MakeLevel(l.class(v), l.userOf(v))
}

func (l *Levels) class(v *Visit) Class {
	for i := range l.rules {
		if l.rules[i].meets(v) {
			return l.rules[i].class
		}
	}
	return commonClass(v.Head)
}

func (r *classRule) meets(v *Visit) bool {
	if r.method != "" && r.method != string(v.Head.Method) || r.process != "" && r.process != cmp.Or(v.Process, mainProcess) {
		return false
	}
	if r.header != "" {
		value := v.Head.Get(r.header)
		if value == nil || r.value != "*" && r.value != string(value) {
			return false
		}
	}
	return r.path.Matches(v.Path)
}

// commonClass is the class of what no rule of the app's matches: what nobody
// waits for is background, what comes again because it failed is a class less.
// A client can only worsen its class by what it says.
func commonClass(head *h1.Request) Class {
	class := Normal
	for i := range head.Fields {
		f := &head.Fields[i]
		switch {
		case h1.Is(f.Name, "user-agent"):
			if crawler(f.Value) {
				return Background
			}
		case h1.Is(f.Name, "sec-purpose"), h1.Is(f.Name, "purpose"), h1.Is(f.Name, "x-moz"):
			if bytes.HasPrefix(f.Value, []byte("prefetch")) {
				return Background
			}
		case h1.Is(f.Name, "x-envoy-attempt-count"):
			if string(f.Value) != "1" {
				class = Bulk
			}
		}
	}
	return class
}

// begins reports whether text begins with a word of lower-case letters and
// dashes, in any case.
func begins(text []byte, lower string) bool {
	if len(text) < len(lower) {
		return false
	}
	for i := range len(lower) {
		if b := text[i]; b != lower[i] && (b < 'A' || b > 'Z' || b|0x20 != lower[i]) {
			return false
		}
	}
	return true
}

// crawlers are words that stand in the User-Agent of those who read without a
// person waiting, in lower case.
var crawlers = []string{"bot", "crawl", "spider", "slurp", "archiver"}

// crawlerFirst has a bit for each letter, a to s, that such a word begins with.
const crawlerFirst uint32 = 1 | 1<<('b'-'a') | 1<<('c'-'a') | 1<<('s'-'a')

// crawler looks at the first bytes only: names stand early.
func crawler(agent []byte) bool {
	agent = agent[:min(len(agent), 256)]
	for i, b := range agent {
		if b |= 0x20; b < 'a' || b > 's' || 1<<(b-'a')&crawlerFirst == 0 {
			continue
		}
		for _, word := range crawlers {
			if word[0] == b && begins(agent[i:], word) {
				return true
			}
		}
	}
	return false
}

// userOf is the hash of who asks, the same for an hour.
func (l *Levels) userOf(v *Visit) uint8 {
	hour := uint64((v.Unix + l.jitter) / 3600)
	who := l.user.of(v)
	if who == nil {
		who = v.Head.Get("authorization")
	}
	if who == nil {
		network := networkOf(v.Client)
		return uint8(l.key.sip(hour, network[:])) % users
	}
	return uint8(l.key.sip(hour, who)) % users
}
