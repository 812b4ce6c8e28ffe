package platform

import (
	"errors"
	"fmt"
)

// The kinds of failure a verb can end in. Wrap them with the thing:
// fmt.Errorf("app %s: %w", id, ErrNotFound). A door turns each kind into its
// protocol's answer in one place.
var (
	// ErrNotFound: the named thing does not exist.
	ErrNotFound = errors.New("not found")
	// ErrForbidden: the caller is known and may not do this.
	ErrForbidden = errors.New("forbidden")
	// ErrUnauthenticated: nobody, or a credential that is not valid.
	ErrUnauthenticated = errors.New("not authenticated")
	// ErrConflict: the present state refuses the change.
	ErrConflict = errors.New("conflict")
	// ErrStale: the change was made of what another has changed since.
	ErrStale = errors.New("stale")
	// ErrInvalid: the input breaks a rule; see *FieldError for the field.
	ErrInvalid = errors.New("invalid")
	// ErrBusy: another change of the same app is under way.
	ErrBusy = errors.New("busy")
	// ErrUnavailable: a part of the platform cannot answer now.
	ErrUnavailable = errors.New("unavailable")
	// ErrUnprocessable: a well-formed request to remove what is not there.
	ErrUnprocessable = errors.New("unprocessable")
)

// NotFoundError names the kind and the id of what was looked up, such as
// ("App", "blog"). It matches ErrNotFound.
type NotFoundError struct{ Kind, ID string }

func (e *NotFoundError) Error() string { return fmt.Sprintf("no %s %q", e.Kind, e.ID) }

// Is makes e match ErrNotFound.
func (e *NotFoundError) Is(target error) bool { return target == ErrNotFound }

// FieldError says which field of an input breaks which rule. The message is
// written for the user and may be shown as it is. It matches ErrInvalid.
type FieldError struct{ Field, Message string }

func (e *FieldError) Error() string {
	if e.Field == "" {
		return e.Message
	}
	return e.Field + ": " + e.Message
}

// Is makes e match ErrInvalid.
func (e *FieldError) Is(target error) bool { return target == ErrInvalid }

// Invalid is a FieldError as an error.
func Invalid(field, format string, args ...any) error {
	return &FieldError{Field: field, Message: fmt.Sprintf(format, args...)}
}

// UserError is a failure with a kind whose message is written for the user
// and is shown as it is; Cure, when set, says what to do next.
type UserError struct {
	Kind    error // one of the sentinels above
	Message string
	Cure    string
}

func (e *UserError) Error() string {
	if e.Cure == "" {
		return e.Message
	}
	return e.Message + "\n" + e.Cure
}
func (e *UserError) Unwrap() error { return e.Kind }
