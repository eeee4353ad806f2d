(* libxl-lockd.conf: the grammar is tested in Test_lockcfg_conf. *)

module Test_lockcfg_libxl_lockd =

let conf = "#auto_disk_leases = 0
auto_disk_leases=1
require_lease_for_disks = 0 # the default

file_lockspace_dir = \"/var/lib/libvirt/lockd/files\"
"

test Lockcfg_libxl_lockd.lns get conf =
  { "#comment" = "auto_disk_leases = 0" }
  { "auto_disk_leases" = "1" }
  { "require_lease_for_disks" = "0" { "#comment" = "the default" } }
  { "#empty" }
  { "file_lockspace_dir" = "/var/lib/libvirt/lockd/files" }

test Lockcfg_libxl_lockd.lns put conf after
  set "/auto_disk_leases" "0";
  set "/file_lockspace_dir" "/srv/locks";
  rm "/require_lease_for_disks" =
"#auto_disk_leases = 0
auto_disk_leases=0

file_lockspace_dir = \"/srv/locks\"
"
