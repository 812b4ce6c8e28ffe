package api

import "encoding/json"

// Stack is an image that slugs are laid on; one at most is in force.
type Stack struct {
	Name    string `json:"name"`
	Image   string `json:"image" doc:"repository@digest in the platform's registry."`
	Source  string `json:"source" doc:"Where it came from: \"debian bookworm\", or the image as it was named."`
	System  string `json:"system" doc:"What it says it is."`
	Size    int64  `json:"size" doc:"Compressed bytes of its layers."`
	InForce bool   `json:"in_force" doc:"Slugs are laid on it."`
	Owner   string `json:"owner"`
	Created Time   `json:"created" format:"date-time"`
	Updated Time   `json:"updated" format:"date-time"`
}

// BuildStack is the body of POST /v2/stacks/; empty fields have defaults.
type BuildStack struct {
	Name     string   `json:"name,omitempty" doc:"The suite unless told."`
	Suite    string   `json:"suite,omitempty" doc:"A release of Debian; that of the platform's machine unless told."`
	Packages []string `json:"packages,omitempty" doc:"Names, or name=version; runtimes, which is the default, stands for the language runtimes of the platform's machine."`
	Mirror   string   `json:"mirror,omitempty" doc:"Where the packages come from."`
	Use      *bool    `json:"use,omitempty" doc:"Put it in force; true unless told."`
}

// StackProgress is one line of the answer to BuildStack: a line of output, or,
// last, the stack or what went wrong: a status and a body as of any refusal.
type StackProgress struct {
	Line   string          `json:"line,omitempty"`
	Stack  *Stack          `json:"stack,omitempty"`
	Status int             `json:"status,omitempty"`
	Error  json.RawMessage `json:"error,omitempty"`
}

// UseStack is the body of POST /v2/stacks/use/: the name of a stack, none, or
// an image, which is then a stack of that name.
type UseStack struct {
	Stack string `json:"stack"`
	Name  string `json:"name,omitempty"`
}
