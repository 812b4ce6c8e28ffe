package images

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
)

// What keeps an image from being had from one registry. Each is told of a
// host; what a registry's answers hold is never shown, for it may be any
// program's that a user made the platform ask.
type fault struct {
	why  reason
	host string // as Hosts names it
	text string // "answered 500 Internal Server Error"
	// passing: the same may succeed in a moment.
	passing bool
	// bad: the credentials themselves were refused, not the image to them.
	bad bool
}

type reason int

const (
	// unreachable, or of no use: the next source may do better.
	broken reason = iota
	missing
	denied
)

func (f *fault) Error() string { return f.host + " " + f.text }

// unfit is an image that was found and cannot be had, wherever it is from.
type unfit struct{ text string }

func (u *unfit) Error() string { return u.text }

func unfitf(format string, args ...any) error { return &unfit{fmt.Sprintf(format, args...)} }

// garbled is a registry that says what cannot be.
func (r *remote) garbled(format string, args ...any) error {
	return &fault{why: broken, host: r.host, text: fmt.Sprintf(format, args...)}
}

// errSilent ends a request whose registry says nothing any more.
var errSilent = errors.New("said nothing any more")

// failed words why a request had no answer, or an answer no end.
func (r *remote) failed(ctx context.Context, err error) error {
	var known *fault
	var misfit *unfit
	switch {
	case errors.As(err, &known), errors.As(err, &misfit):
		return err
	case errors.Is(err, errSilent), errors.Is(context.Cause(ctx), errSilent):
		return &fault{why: broken, host: r.host, text: fmt.Sprintf("said nothing for %s", r.silence)}
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	if asked, ok := errors.AsType[*url.Error](err); ok {
		err = asked.Err // without the address, which may hold a signature
	}
	text := "does not answer as a registry does"
	var network net.Error
	switch {
	case errors.As(err, &network) && network.Timeout():
		text = "does not answer in time"
	case cutOff(err):
		text = "broke off in the middle of an answer"
	case speaksPlain(err):
		text = "speaks no HTTPS; the operator can allow that with --insecure-registries"
	case telling(err):
		text = "cannot be reached: " + err.Error()
	}
	return &fault{why: broken, host: r.host, text: text, passing: cutOff(err)}
}

// telling reports whether an error speaks of the way to a registry alone, and
// repeats nothing of what an answer held.
func telling(err error) bool {
	var barred *barred
	var dial *net.OpError
	var certificate *tls.CertificateVerificationError
	return errors.As(err, &barred) || errors.As(err, &dial) || errors.As(err, &certificate)
}

// barred is a way that a request may not go.
type barred struct{ text string }

func (b *barred) Error() string { return b.text }

// refused words an answer that is not the one hoped for.
func (r *remote) refused(answer *http.Response) *fault {
	f := &fault{host: r.host, text: fmt.Sprintf("answered %d %s", answer.StatusCode, http.StatusText(answer.StatusCode))}
	switch answer.StatusCode {
	case http.StatusNotFound:
		f.why = missing
	case http.StatusUnauthorized, http.StatusForbidden:
		f.why = denied
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		f.passing = true
	}
	return f
}
