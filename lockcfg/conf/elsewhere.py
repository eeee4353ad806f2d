"""The settings of libvirt's other files, which lockcfg does not edit, so that messages can say
where a setting belongs.

The names are those of libvirt's own samples; a test holds them against the ones that are
installed.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

#: By file. If several files have a name, the first one counts. The settings of every daemon with a
#: socket are in libvirtd.conf or, with modular daemons, in virtqemud.conf, virtxend.conf,
#: virtnetworkd.conf and so on; those of daemons that serve other hosts in virtproxyd.conf.
_FILES: Final = {
    "libvirtd.conf (virtproxyd.conf where libvirt is modular)": """
        auth_tcp auth_tls ca_file cert_file cert_files crl_file key_file key_files listen_addr
        listen_tcp listen_tls
        mdns_adv mdns_name sasl_allowed_username_list tcp_min_ssf tcp_port tls_allowed_dn_list
        tls_no_sanity_certificate tls_no_verify_address tls_no_verify_certificate tls_port
        tls_priority""",
    "virtlogd.conf": "log_root max_age_days max_backups max_size",
    "libvirtd.conf (virtqemud.conf and so on where libvirt is modular)": """
        access_drivers admin_keepalive_count admin_keepalive_interval admin_keepalive_required
        admin_max_client_requests admin_max_clients admin_max_queued_clients admin_max_workers
        admin_min_workers audit_level audit_logging auth_unix_ro auth_unix_rw host_uuid
        host_uuid_source keepalive_count keepalive_interval keepalive_required log_buffer_size
        log_filters log_level log_outputs max_anonymous_clients max_client_requests max_clients
        max_queued_clients max_workers min_workers ovs_timeout prio_workers unix_sock_admin_perms
        unix_sock_dir unix_sock_group unix_sock_ro_perms unix_sock_rw_perms""",
    "network.conf": "firewall_backend",
    "libvirt.conf": "uri_aliases uri_default",
    "lxc.conf": "log_with_libvirtd",
    "bhyve.conf": "firmware_dir",
    "/etc/sanlock/sanlock.conf": """
        debug_clients debug_cmd debug_io debug_renew gname high_priority kill_grace_seconds
        logfile_priority logfile_use_utc max_sectors_kb max_worker_threads mlock_level
        names_log_priority our_host_name paxos_debug_all quiet_fail renewal_history_size
        renewal_read_extend_sec sh_retries syslog_priority uname use_aio use_watchdog
        watchdog_fire_timeout write_init_io_timeout""",
    "/etc/default/sanlock": "sanlock_opts",
    "/etc/default/libvirtd or /etc/sysconfig/libvirtd": "LIBVIRTD_ARGS libvirtd_opts",
    "/etc/default/virtlockd or /etc/sysconfig/virtlockd": "VIRTLOCKD_ARGS",
    "/etc/default/libvirt-guests or /etc/sysconfig/libvirt-guests": """
        BYPASS_CACHE ON_BOOT ON_SHUTDOWN PARALLEL_SHUTDOWN SHUTDOWN_TIMEOUT START_DELAY SYNC_TIME
        URIS""",
}

_of: Final[dict[str, str]] = {}


def file_elsewhere(key: str) -> str | None:
    """The name of the file that the setting ``key`` belongs in, one that lockcfg does not edit;
    None for a key of none of them."""
    if not _of:
        for name, keys in _FILES.items():
            for each in keys.split():
                _of.setdefault(each, name)
    return _of.get(key)
