package api

// Group is a set of environment variables that apps share.
type Group struct {
	Name    string `json:"name"`
	Owner   string `json:"owner"`
	Version int    `json:"version" doc:"How often it changed, from 1."`
	Created Time   `json:"created" format:"date-time"`
	Updated Time   `json:"updated" format:"date-time"`
	// Of one group alone, not in a list.
	Values map[string]string `json:"values,omitempty" doc:"Of one group alone."`
	Apps   []AppGroup        `json:"apps,omitempty" doc:"The apps it is attached to; of one group alone."`
}

// AppGroup is how an app's current release stands to a group.
type AppGroup struct {
	App     string `json:"app"`
	Group   string `json:"group"`
	Version int    `json:"version" doc:"The group's."`
	Has     int    `json:"has" doc:"The version that the app's current release has; 0: none."`
	State   string `json:"state" enum:"current,behind,missing"`
}

// CreateGroup is the body of POST /v2/groups/.
type CreateGroup struct {
	Name string `json:"name"`
}

// SetGroup is the body of POST /v2/groups/<name>/: null removes a value.
type SetGroup struct {
	Values map[string]*string `json:"values"`
}

// GroupChanged is its answer.
type GroupChanged struct {
	Group  Group         `json:"group"`
	Deploy []GroupDeploy `json:"deploys" doc:"What came of it in each of its apps."`
}

// GroupDeploy is what a change of a group came to in one app.
type GroupDeploy struct {
	App     string `json:"app"`
	Release string `json:"release" doc:"Such as v7; empty when none was made."`
	Error   string `json:"error" doc:"Why the app did not take the change over; empty when it did."`
}

// AttachGroup is the body of POST /v2/apps/<id>/groups/.
type AttachGroup struct {
	Group string `json:"group"`
}

// ConfigGroup is a group in a version of an app's config.
type ConfigGroup struct {
	Name    string            `json:"name"`
	Version int               `json:"version"`
	Values  map[string]string `json:"values"`
}
