package acme

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/mholt/acmez/v3/acme"
)

// failure is that a certificate could not be had. It is kept in the store, so
// that a process that starts again and again does not ask the authority as often.
type failure struct {
	Problem  string    `json:"problem"`
	Attempts int       `json:"attempts"`
	Next     time.Time `json:"next"`
	// Settings tells under which it was: under others it may go well.
	Settings string `json:"settings"`
	forced   bool   // it is to be tried whatever is kept
}

func (f failure) waits() bool { return time.Now().Before(f.Next) }

// crowdedPause is the least after an authority said that it was asked too often.
const crowdedPause = time.Hour

// again is the failure after one more.
func (f failure) again(err error, opt Options) failure {
	next := failure{Problem: words(err), Attempts: f.Attempts + 1, Settings: settings(opt)}
	pause := opt.LastPause
	if shift := next.Attempts - 1; shift < 20 {
		pause = min(opt.FirstPause<<shift, opt.LastPause)
	}
	pause -= rand.N(pause/5 + 1)
	problem, told := errors.AsType[acme.Problem](err)
	if told && problem.Type == acme.ProblemTypeRateLimited {
		pause = max(pause, min(crowdedPause, opt.LastPause))
	}
	next.Next = time.Now().Add(pause).Truncate(time.Second)
	if told {
		if until := retryAfter(problem.Detail); until.After(next.Next) && time.Until(until) < 8*24*time.Hour {
			next.Next = until
		}
	}
	return next
}

var retryText = regexp.MustCompile(`retry after (\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)`)

// retryAfter is the time that Let's Encrypt writes into its refusals.
func retryAfter(detail string) time.Time {
	found := retryText.FindStringSubmatch(detail)
	if found == nil {
		return time.Time{}
	}
	at, err := time.Parse(time.DateTime, found[1]+" "+found[2])
	if err != nil {
		return time.Time{}
	}
	return at.Add(time.Minute)
}

// blames reports whether an authority refused a name for what the name is, or
// leads to: whoever wants it could have known.
func blames(err error) bool {
	problem, told := errors.AsType[acme.Problem](err)
	if !told {
		return false
	}
	switch problem.Type {
	case acme.ProblemTypeCAA, acme.ProblemTypeConnection, acme.ProblemTypeDNS, acme.ProblemTypeIncorrectResponse, acme.ProblemTypeTLS,
		acme.ProblemTypeUnauthorized, acme.ProblemTypeRejectedIdentifier, acme.ProblemTypeUnsupportedIdentifier:
		return true
	}
	return false
}

var errNoDNS = errors.New("a wildcard is proven by DNS alone, and the platform was given no DNS provider (serve --acme-dns)")

var errNotPublic = errors.New("a public authority certifies public names alone, and this is none")

// maxWords bounds what is told of a failure: an authority may write anything.
const maxWords = 400

// words are what users are told of a failure.
func words(err error) string {
	text := err.Error()
	var network net.Error
	problem, told := errors.AsType[acme.Problem](err)
	address, unreached := errors.AsType[*url.Error](err)
	switch {
	case told:
		kind := problem.Type[strings.LastIndexByte(problem.Type, ':')+1:]
		text = fmt.Sprintf("the authority refused (%s): %s", kind, problem.Detail)
		for _, sub := range problem.Subproblems {
			text += "; " + sub.Detail
		}
	case unreached && errors.As(err, &network):
		text = fmt.Sprintf("%s cannot be reached: %s", hostOf(address.URL), address.Err)
	case errors.Is(err, context.DeadlineExceeded):
		text = "it took longer than the authority has time: " + text
	}
	text = strings.Join(strings.Fields(strings.Map(printable, text)), " ")
	if len(text) > maxWords {
		text = strings.ToValidUTF8(text[:maxWords], "") + "…"
	}
	return text
}

func hostOf(address string) string {
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		return u.Host
	}
	return address
}

func printable(c rune) rune {
	if c < ' ' || c == 0x7f {
		return ' '
	}
	return c
}

// settings is a mark of what decides whether a name can be proven.
func settings(opt Options) string {
	sum := fnv.New64a()
	fmt.Fprint(sum, opt.Directory, opt.Email, opt.EABKey, opt.Challenges, fmt.Sprintf("%T", opt.DNS))
	return fmt.Sprintf("%016x", sum.Sum64())
}

func failureKey(name string) string {
	return "failures/" + strings.Replace(name, "*", "wildcard_", 1)
}

// recall is the failure that an earlier process, or another, kept.
func (k *Keeper) recall(ctx context.Context, name string) (f failure) {
	text, err := k.storage.Load(ctx, failureKey(name))
	if err != nil || json.Unmarshal(text, &f) != nil || f.Settings != settings(k.opt) {
		return failure{}
	}
	return f
}

func (k *Keeper) remember(ctx context.Context, name string, before, after failure) {
	var err error
	switch {
	case after.Problem != "":
		text, _ := json.Marshal(after) // plain values
		err = k.storage.Store(ctx, failureKey(name), text)
	case before.Problem != "" || before.forced:
		err = k.storage.Delete(ctx, failureKey(name))
	}
	if err != nil {
		k.log.Warn("it was not kept how a certificate was got", "domain", name, "err", err)
	}
}
