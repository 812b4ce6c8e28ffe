package server

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-paas/slipway/internal/auth"
	"github.com/slipway-paas/slipway/internal/platform"
)

// The fixed words of the contract.
const (
	noCredentials = "Authentication credentials were not provided."
	noPermission  = "You do not have permission to perform this action."
)

// statuses orders the kinds: the first one an error matches decides.
var statuses = []struct {
	kind   error
	status int
}{
	{platform.ErrUnauthenticated, http.StatusUnauthorized},
	{platform.ErrForbidden, http.StatusForbidden},
	{platform.ErrNotFound, http.StatusNotFound},
	{platform.ErrUnprocessable, http.StatusUnprocessableEntity},
	{platform.ErrInvalid, http.StatusBadRequest},
	{platform.ErrBusy, http.StatusConflict},
	{platform.ErrConflict, http.StatusConflict},
	{platform.ErrStale, http.StatusPreconditionFailed}, // RFC 9110, 13.1.1
	{platform.ErrUnavailable, http.StatusServiceUnavailable},
}

// failure is the one place where an error becomes an answer. What is not of a
// kind is a fault of ours: logged here, and not shown.
func (s *server) failure(c *call, err error) answer {
	if protocol, ok := errors.AsType[*protocolError](err); ok {
		return protocol.answer()
	}
	if throttled, ok := errors.AsType[*auth.ThrottledError](err); ok {
		return tooMany(throttled)
	}
	for _, known := range statuses {
		if errors.Is(err, known.kind) {
			return answerOf(known.status, err)
		}
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return detail(http.StatusServiceUnavailable, "This took too long and goes on without you: look again later.")
	case c.r.Context().Err() != nil: // the client left: nobody reads this
		return detail(http.StatusServiceUnavailable, "The client left.")
	}
	s.log.Error("request failed", "request_id", c.id, "method", c.r.Method, "path", c.r.URL.Path,
		"user", c.caller.User, "err", err)
	return serverError()
}

func answerOf(status int, err error) answer {
	var missing *platform.NotFoundError
	switch {
	case status == http.StatusBadRequest:
		return invalid(err)
	case status == http.StatusNotFound && errors.As(err, &missing):
		return answer{status: status, body: fmt.Sprintf("No %s matches the given query.", missing.Kind)}
	case status == http.StatusUnauthorized:
		return unauthorized(words(err, noCredentials))
	case status == http.StatusForbidden:
		return detail(status, words(err, noPermission))
	case status == http.StatusNotFound:
		return detail(status, words(err, "Not found."))
	}
	return detail(status, words(err, err.Error()))
}

// words are what the error says to the user, if it was written for one.
func words(err error, otherwise string) string {
	var user *platform.UserError
	if errors.As(err, &user) && user.Message != "" {
		return user.Error()
	}
	return otherwise
}

// invalid lists every field that is wrong, or has one detail for all.
func invalid(err error) answer {
	fields := map[string][]string{}
	var whole []string
	for _, wrong := range fieldErrors(err) {
		if wrong.Field == "" || wrong.Field == "detail" {
			whole = append(whole, wrong.Message)
		} else if !slices.Contains(fields[wrong.Field], wrong.Message) {
			fields[wrong.Field] = append(fields[wrong.Field], wrong.Message)
		}
	}
	switch {
	case len(fields) > 0:
		return answer{status: http.StatusBadRequest, body: fields}
	case len(whole) > 0:
		return detail(http.StatusBadRequest, strings.Join(whole, "\n"))
	}
	return detail(http.StatusBadRequest, words(err, err.Error()))
}

// fieldErrors walks the tree of a joined error.
func fieldErrors(err error) []*platform.FieldError {
	switch e := err.(type) { //nolint:errorlint // this is the walk
	case nil:
		return nil
	case *platform.FieldError:
		return []*platform.FieldError{e}
	case interface{ Unwrap() []error }:
		var all []*platform.FieldError
		for _, one := range e.Unwrap() {
			all = append(all, fieldErrors(one)...)
		}
		return all
	}
	return fieldErrors(errors.Unwrap(err))
}

// isInput reports whether err says that the request itself is wrong.
func isInput(err error) bool {
	var protocol *protocolError
	return errors.Is(err, platform.ErrInvalid) || errors.As(err, &protocol)
}

// protocolError is a failure of HTTP's own, that no verb knows.
type protocolError struct {
	status int
	detail string
	// hangUp: what is left of the request is not worth reading.
	hangUp bool
}

func (e *protocolError) Error() string { return e.detail }

func (e *protocolError) answer() answer {
	a := detail(e.status, e.detail)
	if e.hangUp {
		a.header = map[string]string{"Connection": "close"}
	}
	return a
}

func detail(status int, text string) answer {
	return answer{status: status, body: map[string]string{"detail": text}}
}

func serverError() answer { return detail(http.StatusInternalServerError, "Server Error") }

func unauthorized(text string) answer {
	a := detail(http.StatusUnauthorized, text)
	a.header = map[string]string{"Www-Authenticate": "Token"}
	return a
}

// tooMany is the answer of RFC 6585, section 4.
func tooMany(err *auth.ThrottledError) answer {
	a := detail(http.StatusTooManyRequests, err.Error())
	a.header = map[string]string{"Retry-After": strconv.Itoa(int(math.Ceil(err.RetryAfter.Seconds())))}
	return a
}

// notAllowed refuses a method the path does not have; Allow names those it has.
func notAllowed(method string) error {
	return &protocolError{status: http.StatusMethodNotAllowed, detail: fmt.Sprintf("Method %q not allowed.", clip(method))}
}
