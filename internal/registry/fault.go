package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// fault is an error of the protocol: a status and an entry of the error body
// (OCI distribution specification 1.1, "Error Codes").
type fault struct {
	status  int
	code    string
	message string
	detail  any
}

func (f *fault) Error() string { return f.code + ": " + f.message }

func faultf(status int, code, format string, args ...any) *fault {
	return &fault{status: status, code: code, message: fmt.Sprintf(format, args...)}
}

func denied(format string, args ...any) *fault {
	return faultf(http.StatusForbidden, "DENIED", format, args...)
}

// refuse writes an error as the specification's body. What is no fault is the
// registry's own failure, and its words stay here.
func (r *Registry) refuse(w http.ResponseWriter, err error) {
	var f *fault
	if !errors.As(err, &f) {
		r.log.Error("registry failed", "err", err)
		f = faultf(http.StatusInternalServerError, "UNKNOWN", "the registry failed; its log says why")
	}
	entry := map[string]any{"code": f.code, "message": f.message}
	if f.detail != nil {
		entry["detail"] = f.detail
	}
	reply(w, f.status, map[string]any{"errors": []any{entry}})
}

// reply writes a JSON body.
func reply(w http.ResponseWriter, status int, body any) {
	h := w.Header()
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", "application/json")
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // who left gets nothing
}
