package rules

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/slipway-paas/slipway/internal/h1"
	"github.com/slipway-paas/slipway/internal/match"
	"github.com/slipway-paas/slipway/internal/platform"
)

// Bounds of one app's rules. What is over them is left out and named.
const (
	maxDeny      = 10_000
	maxRedirects = 200
	maxMatches   = 100
	maxHeaders   = 64
	maxPages     = 32
	maxPage      = 64 << 10 // bytes of one page
	maxUsers     = 1_000
	maxText      = 4 << 10 // bytes of a URL or a field's value
)

// Rules are the compiled words of one app's team. Immutable.
type Rules struct {
	wish  wish
	wrong []string

	deny      *match.Networks
	redirects []redirect
	auth      *auth
	leads     []lead
	maxBody   int64
	fields    []field // set on answers, or taken away
	hsts      []byte  // a whole line
	pages     map[string][]byte
	codings   []coding
	start     bool // X-Request-Start
	traces    bool
}

// wish is what of an Edge is this package's business.
type wish struct {
	deny      []string
	redirects []platform.Redirect
	auth      *platform.BasicAuth
	matches   []platform.Match
	maxBody   int64
	headers   map[string]string
	hsts      *platform.HSTS
	pages     map[string]string
	compress  []string
	start     bool
	traces    bool
}

// lead sends what meets its conditions to a process type.
type lead struct {
	conditions match.Conditions
	process    string
}

// Compile reads what a team wrote; the same as last time gives old back, and
// nothing gives nil. What cannot be used is left out and named in words, none
// of which has a secret in it. The edge must not be changed afterwards.
func Compile(edge platform.Edge, old *Rules) (*Rules, []string) {
	w := wish{
		edge.Deny, edge.Redirects, edge.Auth, edge.Matches, edge.MaxBody, edge.Headers,
		edge.HSTS, edge.Pages, edge.Compress, edge.RequestStart, edge.Traces,
	}
	if old != nil && platform.Same(old.wish, w) {
		return old, old.wrong
	}
	if platform.Same(w, wish{}) {
		return nil, nil
	}
	r := &Rules{wish: w, start: w.start, traces: w.traces}
	r.setDeny()
	r.setRedirects()
	r.setAuth()
	r.setLeads()
	r.setBody()
	r.setFields()
	r.setHSTS()
	r.setPages()
	r.setCodings()
	return r, r.wrong
}

// complain takes note of something that is left out.
func (r *Rules) complain(format string, values ...any) {
	r.wrong = append(r.wrong, fmt.Sprintf(format, values...))
}

// Wrong is what of the wish was left out, in words.
func (r *Rules) Wrong() []string {
	if r == nil {
		return nil
	}
	return r.wrong
}

// bounded is the part of a list that is looked at.
func bounded[T any](r *Rules, what string, list []T, most int) []T {
	if len(list) > most {
		r.complain("an app may have %d %s; those after are left out", most, what)
		return list[:most]
	}
	return list
}

func (r *Rules) setDeny() {
	r.deny = match.NetworksAfter(nil, bounded(r, "denied networks", r.wish.deny, maxDeny))
	r.wrong = append(r.wrong, r.deny.Wrong()...)
}

func (r *Rules) setLeads() {
	for i, w := range bounded(r, "matches", r.wish.matches, maxMatches) {
		conditions, err := match.CompileConditions(w.If)
		switch {
		case err != nil:
			r.complain("match %d to %.80q: %v", i+1, w.Process, err)
		case len(conditions) == 0:
			r.complain("match %d to %.80q has no condition", i+1, w.Process)
		case w.Process == "":
			r.complain("match %d leads to no process type", i+1)
		default:
			r.leads = append(r.leads, lead{conditions, w.Process})
		}
	}
}

func (r *Rules) setBody() {
	if r.maxBody = r.wish.maxBody; r.maxBody < 0 {
		r.complain("a body of %d bytes is no bound", r.maxBody)
		r.maxBody = 0
	}
}

// Visit is what is judged of a request besides its head.
type Visit struct {
	Client netip.Addr // of whom the request is from; the zero value: nobody knows
	HTTPS  bool
	Host   string // in lower case, without port and final dot
	Path   string // decoded and clean: see match.CleanPath; read only where Rules.Paths says so

	proven *auth // Proofs.Prove found the password right
	shut   refusalOf
}

// Refusal is what a request gets instead of an instance. The zero value is a
// request that goes on.
type Refusal struct {
	Status    int    // 0: none
	Location  string // of a redirect
	Challenge string // for WWW-Authenticate
	Retry     int    // seconds for Retry-After; 0: none
	// Prove: nobody knows yet. Proofs.Prove finds it out, then Refuse is asked again.
	Prove bool
}

// Paths reports whether Refuse looks at a visit's path.
func (r *Rules) Paths() bool { return r != nil && len(r.redirects) > 0 }

// Denied reports whether the client is in a denied network.
func (r *Rules) Denied(client netip.Addr) bool {
	return r != nil && r.deny.Holds(client)
}

// Refuse judges a request; see the package's comment for the order. now is on
// the clock of proofs, which all apps of a router share.
func (r *Rules) Refuse(req *h1.Request, v *Visit, proofs *Proofs, now time.Duration) Refusal {
	if r == nil {
		return Refusal{}
	}
	if refusal, is := r.redirect(req, v); is {
		return refusal
	}
	if r.auth != nil && v.proven != r.auth {
		if refusal := r.auth.ask(req, v, proofs, now); refusal != (Refusal{}) {
			return refusal
		}
	}
	if r.maxBody > 0 && req.Length > r.maxBody {
		return Refusal{Status: 413}
	}
	return Refusal{}
}

// Process is the process type that a request's headers and cookies lead to;
// ok is false when no match is met.
func (r *Rules) Process(req *h1.Request) (process string, ok bool) {
	if r == nil {
		return "", false
	}
	for i := range r.leads {
		if r.leads[i].conditions.Met(req.Fields) {
			return r.leads[i].process, true
		}
	}
	return "", false
}

// MaxBody bounds a request's body in bytes, which one without a length passes
// only as it comes: then it is to be cut off and, if no answer was begun,
// answered with 413. 0: no bound.
func (r *Rules) MaxBody() int64 {
	if r == nil {
		return 0
	}
	return r.maxBody
}
