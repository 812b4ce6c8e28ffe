package api

// Volumes are the volumes of an app, by name.
type Volumes struct {
	Volumes []Volume `json:"volumes"`
}

// Volume is a directory of an app that outlives its instances.
type Volume struct {
	Name   string            `json:"name"`
	Mounts map[string]string `json:"mounts" doc:"A process type to the path it finds the volume at; at most one."`
	// Data: something was kept in it. Removed: the app has it no longer, and its
	// data was kept.
	Data    bool     `json:"data" doc:"There is data of it."`
	Removed bool     `json:"removed" doc:"The app has it no longer; its data was kept."`
	HeldBy  []string `json:"held_by" doc:"The instances that have it."`
}

// SetVolume is the body of POST /v2/apps/<id>/volumes/.
type SetVolume struct {
	Name   string             `json:"name" doc:"1 to 63 of a-z, 0-9 and hyphens."`
	Mounts map[string]*string `json:"mounts,omitempty" doc:"A process type to an absolute path; null unmounts it."`
}
