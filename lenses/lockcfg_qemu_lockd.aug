(* /etc/libvirt/qemu-lockd.conf and an unprivileged user's ~/.config/libvirt/qemu-lockd.conf.
   The grammar, and how the tree looks: Lockcfg_conf. There is no autoload, so that this
   module never competes with libvirt's own lens for the file. *)

module Lockcfg_qemu_lockd =

let lns = Lockcfg_conf.lns

let filter = incl "/etc/libvirt/qemu-lockd.conf"
           . incl "/home/*/.config/libvirt/qemu-lockd.conf"
           . incl "/root/.config/libvirt/qemu-lockd.conf"

let xfm = transform lns filter
