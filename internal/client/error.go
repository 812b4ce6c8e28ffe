package client

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/platform"
)

// Error is an answer that refuses. It matches the sentinel of platform that
// its status stands for, and holds what the server said.
type Error struct {
	Answer       *api.Error
	Method, Path string
}

// Error is what the server said.
func (e *Error) Error() string { return e.Answer.Error() }

// Is reports whether target is the kind that the status stands for.
func (e *Error) Is(target error) bool {
	kind := kindOf(e.Answer.Status)
	return kind != nil && kind == target
}

// Unwrap is the answer itself.
func (e *Error) Unwrap() error { return e.Answer }

func kindOf(status int) error {
	switch status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType:
		return platform.ErrInvalid
	case http.StatusUnauthorized:
		return platform.ErrUnauthenticated
	case http.StatusForbidden:
		return platform.ErrForbidden
	case http.StatusNotFound:
		return platform.ErrNotFound
	case http.StatusConflict:
		return platform.ErrConflict
	case http.StatusPreconditionFailed:
		return platform.ErrStale
	case http.StatusLocked, http.StatusTooManyRequests:
		return platform.ErrBusy
	case http.StatusUnprocessableEntity:
		return platform.ErrUnprocessable
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return platform.ErrUnavailable
	}
	return nil
}

// ConnectError is a platform that did not answer at all. It matches
// platform.ErrUnavailable.
type ConnectError struct {
	URL string // of the platform
	Err error
}

func (e *ConnectError) Error() string {
	cause := e.Err
	if wrapped, ok := errors.AsType[*url.Error](cause); ok {
		cause = wrapped.Err // a url.Error says method and URL, which is said already
	}
	return fmt.Sprintf("%s does not answer: %v", e.URL, cause)
}

// Is reports whether target is platform.ErrUnavailable.
func (e *ConnectError) Is(target error) bool { return target == platform.ErrUnavailable }

// Unwrap is the cause.
func (e *ConnectError) Unwrap() error { return e.Err }

// NotPlatformError is a server that answers, and not as a platform does.
type NotPlatformError struct {
	URL    string
	Reason string
}

func (e *NotPlatformError) Error() string {
	return fmt.Sprintf("%s does not answer as a Slipway platform: %s", e.URL, e.Reason)
}

// maxErrorBody bounds what is read of an answer that refuses, in bytes.
const maxErrorBody = 64 << 10

// refusal reads a failed answer's body; the caller closes it.
func (c *Client) refusal(resp *http.Response, method, path string) error {
	if resp.StatusCode < 400 {
		to := resp.Header.Get("Location")
		return &NotPlatformError{URL: c.URL(), Reason: fmt.Sprintf("it answers %d and points to %s", resp.StatusCode, to)}
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	if err != nil {
		body = nil
	}
	answer := api.ParseError(resp.StatusCode, body)
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind == "text/html" {
		answer = &api.Error{Status: resp.StatusCode, Detail: http.StatusText(resp.StatusCode)}
	}
	answer.RequestID = resp.Header.Get(api.HeaderRequestID)
	return &Error{Answer: answer, Method: method, Path: path}
}
