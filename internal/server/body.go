package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"time"
)

const (
	// maxBody bounds a request's body, in bytes.
	maxBody = 1 << 20
	// maxUnknown bounds that of somebody who has shown nothing yet: each may
	// keep so much memory for bodyTimeout.
	maxUnknown = 32 << 10
	// bodyTimeout is how long the whole body may take.
	bodyTimeout = 30 * time.Second
)

// readBody reads the JSON object of a request, of most bytes at most. No body
// is an empty object, whatever the content type says: Deis' clients send one
// with nothing.
func readBody(c *call, most int64) (fields, error) {
	if reads(c.r.Method) {
		return fields{}, nil
	}
	data, err := readAll(c, most)
	if err != nil {
		return fields{}, err
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return fields{}, nil
	}
	if kind := c.r.Header.Get("Content-Type"); kind != "" {
		if media, _, err := mime.ParseMediaType(kind); err != nil || media != "application/json" {
			return fields{}, &protocolError{
				status: http.StatusUnsupportedMediaType,
				detail: fmt.Sprintf("Unsupported media type %q in request.", kind),
			}
		}
	}
	return parseFields(data)
}

func readAll(c *call, most int64) ([]byte, error) {
	control := http.NewResponseController(c.w)
	// Not every ResponseWriter can; then its owner bounds the wait.
	_ = control.SetReadDeadline(time.Now().Add(bodyTimeout))
	data, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, most))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, &protocolError{
			status: http.StatusRequestEntityTooLarge, hangUp: true,
			detail: fmt.Sprintf("The request's body is larger than %d bytes.", most),
		}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, &protocolError{
			status: http.StatusRequestTimeout, hangUp: true,
			detail: fmt.Sprintf("The request's body took longer than %s.", bodyTimeout),
		}
	case err != nil:
		return nil, &protocolError{
			status: http.StatusBadRequest, hangUp: true,
			detail: "The request's body broke off.",
		}
	}
	_ = control.SetReadDeadline(time.Time{})
	return data, nil
}

func parseFields(data []byte) (fields, error) {
	if err := wellFormed(data); err != nil {
		return fields{}, &protocolError{status: http.StatusBadRequest, detail: "JSON parse error - " + err.Error()}
	}
	var raw map[string]json.RawMessage
	var notObject *json.UnmarshalTypeError
	err := json.Unmarshal(data, &raw)
	switch {
	case errors.As(err, &notObject):
		return fields{}, fieldError("non_field_errors", "Invalid data. Expected a dictionary, but got %s.", notObject.Value)
	case err != nil:
		return fields{}, err
	}
	return fields{raw: raw}, nil // null is {}
}
