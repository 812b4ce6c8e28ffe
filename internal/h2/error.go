package h2

import (
	"errors"
	"fmt"

	"golang.org/x/net/http2"
)

// Code is an error code of RFC 9113, 7.
type Code = http2.ErrCode

// The codes that callers name.
const (
	NoError  = http2.ErrCodeNo
	Internal = http2.ErrCodeInternal
	Cancel   = http2.ErrCodeCancel
	Calm     = http2.ErrCodeEnhanceYourCalm
	Weak     = http2.ErrCodeInadequateSecurity
)

// ResetError is a stream that was ended before it was done.
type ResetError struct {
	Code   Code
	Remote bool // the peer did it
}

func (e *ResetError) Error() string {
	if e.Remote {
		return fmt.Sprintf("the peer reset the stream: %v", e.Code)
	}
	return fmt.Sprintf("the stream was reset: %v", e.Code)
}

var (
	// ErrClosed is a connection that ended under its streams.
	ErrClosed = errors.New("the connection ended")
	// ErrUnsent says that the peer has not looked at the request (RFC 9113, 8.7): it may
	// be sent again, whatever its method.
	ErrUnsent = errors.New("the peer has not processed the request")
	// ErrStalled says that the peer opened no window in time.
	ErrStalled = errors.New("the peer takes nothing")
	// ErrAnswered is a second answer, or bytes after the end of one.
	ErrAnswered = errors.New("the answer has ended")
)

// connError ends a connection: the peer is told the code and the reason.
type connError struct {
	code   Code
	clause string
	reason string
}

func (e *connError) Error() string {
	return fmt.Sprintf("%s (RFC 9113, %s): %v", e.reason, e.clause, e.code)
}

// streamError ends one stream.
type streamError struct {
	code   Code
	clause string
	reason string
}

func (e *streamError) Error() string {
	return fmt.Sprintf("%s (RFC 9113, %s): %v", e.reason, e.clause, e.code)
}

// IsMistake reports whether a stream ended because its peer broke a rule.
func IsMistake(err error) bool {
	_, one := errors.AsType[*streamError](err)
	_, all := errors.AsType[*connError](err)
	return one || all
}

func protocol(clause, reason string) error {
	return &connError{http2.ErrCodeProtocol, clause, reason}
}

func malformed(clause, reason string) error {
	return &streamError{http2.ErrCodeProtocol, clause, reason}
}
