package h1

import "fmt"

// Error is a message that breaks a rule. The connection it came on can be read
// no further: nobody can say where the message ends.
type Error struct {
	Status int    // to answer a request with; a response that breaks a rule is 502
	Clause string // such as "RFC 9112, 6.3"
	Reason string // in words, without any of the bytes
}

func (e *Error) Error() string { return fmt.Sprintf("%s (%s)", e.Reason, e.Clause) }

// What a head can break. Each is one value, so that refusing costs nothing.
var (
	errLineEnd      = &Error{400, "RFC 9112, 2.2", "a line does not end with CR LF"}
	errRequestLine  = &Error{400, "RFC 9112, 3", "the request line is not method, target and version with one space between"}
	errMethod       = &Error{400, "RFC 9110, 9.1", "the method is no token"}
	errTarget       = &Error{400, "RFC 9112, 3.2", "the target has a byte that no URI has"}
	errTargetForm   = &Error{400, "RFC 9112, 3.2", "the target is of none of the forms that the method allows"}
	errConnect      = &Error{405, "RFC 9110, 9.3.6", "CONNECT is not served"}
	errVersion      = &Error{505, "RFC 9110, 15.6.6", "the version is not HTTP/1.0 or HTTP/1.1"}
	errName         = &Error{400, "RFC 9112, 5.1", "a field's name is no token, or a space stands before its colon"}
	errFold         = &Error{400, "RFC 9112, 5.2", "a field goes on in a second line"}
	errValue        = &Error{400, "RFC 9110, 5.5", "a field's value has a control character"}
	errNoHost       = &Error{400, "RFC 9112, 3.2", "there is no Host"}
	errHosts        = &Error{400, "RFC 9112, 3.2", "there is more than one Host"}
	errHost         = &Error{400, "RFC 9110, 7.2", "Host is no host"}
	errHostConflict = &Error{400, "RFC 9112, 3.2.2", "the target names another host than Host"}
	errLength       = &Error{400, "RFC 9110, 8.6", "Content-Length is no number"}
	errLengths      = &Error{400, "RFC 9112, 6.3", "there is more than one Content-Length"}
	errBothFramings = &Error{400, "RFC 9112, 6.1", "there are Content-Length and Transfer-Encoding"}
	errCoding       = &Error{501, "RFC 9112, 6.1", "the transfer coding is not chunked"}
	errCodings      = &Error{400, "RFC 9112, 6.1", "chunked is not the only and last transfer coding"}
	errOldCoding    = &Error{400, "RFC 9112, 6.1", "an HTTP/1.0 message has Transfer-Encoding"}
	errExpect       = &Error{417, "RFC 9110, 10.1.1", "the expectation is not 100-continue"}
	errHeadSize     = &Error{431, "RFC 6585, 5", "the head is too large"}
	errFieldCount   = &Error{431, "RFC 6585, 5", "the head has too many fields"}
	errTargetSize   = &Error{414, "RFC 9110, 15.5.15", "the target is too long"}

	errStatusLine = &Error{502, "RFC 9112, 4", "the status line is not version, status and reason"}

	errChunkSize    = &Error{400, "RFC 9112, 7.1", "a chunk's size is no hexadecimal number"}
	errChunkExt     = &Error{400, "RFC 9112, 7.1.1", "chunk extensions are too long or hold a control character"}
	errChunkEnd     = &Error{400, "RFC 9112, 7.1", "a chunk does not end with CR LF"}
	errTrailer      = &Error{400, "RFC 9110, 6.5.1", "a trailer field is one that only a head may have"}
	errTrailersSize = &Error{431, "RFC 6585, 5", "the trailers are too large"}
)

// fromServer is a rule that a response breaks.
func fromServer(err error) error {
	if e, ok := err.(*Error); ok && e.Status != 502 { //nolint:errorlint // it is one of the above
		return &Error{502, e.Clause, e.Reason}
	}
	return err
}
