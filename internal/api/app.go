package api

// App is what a user pushes to.
type App struct {
	UUID      string         `json:"uuid"`
	ID        string         `json:"id"`
	Owner     string         `json:"owner"`
	Structure map[string]int `json:"structure" doc:"How many of each process type are wanted."`
	Created   Time           `json:"created" format:"date-time"`
	Updated   Time           `json:"updated" format:"date-time"`
	// ProcfileStructure is the process types of the last Procfile with their
	// quantities, those without instances included.
	ProcfileStructure map[string]int `json:"procfile_structure"`
	// URLs is Slipway's own and part of a single app's answer, not of a list.
	URLs []string `json:"urls,omitempty" doc:"Where the app answers, the first domain first."`
}

// CreateApp is the body of POST /v2/apps/. Without an id one is generated.
type CreateApp struct {
	ID string `json:"id,omitempty" maxLength:"63" pattern:"^[a-z]([a-z0-9-]*[a-z0-9])?$"`
}

// Scale is the body of POST /v2/apps/<id>/scale/: process types and how many
// of each. Types not named stay as they are.
type Scale map[string]int

// Run is the body of POST /v2/apps/<id>/run: one command line for a shell.
type Run struct {
	Command string `json:"command"`
}

// RunResult answers a Run: the output is stdout and stderr merged.
type RunResult struct {
	ExitCode int    `json:"exit_code"`
	Output   string `json:"output"`
}
